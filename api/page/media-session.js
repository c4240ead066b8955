// The keys of keyboards, headsets and lock screens.

const STEP_MS = 5_000;
const session = navigator.mediaSession;

export function announceMedia(host, player) {
  if (!session) return;
  session.metadata = new MediaMetadata({ ...host.track, album: "Earshot" });
  const to = (ms) => player.seek(host, Math.min(Math.max(0, ms), host.duration));
  const by = (seconds = STEP_MS / 1000, direction) => to(player.position(host) + direction * seconds * 1000);
  const actions = {
    play: () => player.play(host),
    pause: () => player.pause(),
    stop: () => player.pause(),
    seekbackward: ({ seekOffset }) => by(seekOffset, -1),
    seekforward: ({ seekOffset }) => by(seekOffset, 1),
    seekto: ({ seekTime }) => to(seekTime * 1000),
    previoustrack: () => to(0),
    nexttrack: () => player.playNext(host),
  };
  for (const [name, act] of Object.entries(actions)) {
    try {
      session.setActionHandler(name, act);
    } catch {
      // Not every browser knows every key.
    }
  }
}

/** Where it is, for the screens that show it. */
export function tellPosition({ duration }, rate, ms) {
  const whole = duration / 1000;
  session?.setPositionState?.({ duration: whole, position: Math.min(ms / 1000, whole), playbackRate: rate });
}
