// The keys of keyboards, headsets and lock screens.

const STEP_MS = 5_000;

export function announceMedia(host, player) {
  const session = navigator.mediaSession;
  if (!session) return;
  session.metadata = new MediaMetadata({ ...host.track, album: "Earshot" });
  const by = (ms) => player.seek(host, Math.min(Math.max(0, player.position(host) + ms), host.duration));
  const actions = {
    play: () => player.play(host),
    pause: () => player.pause(),
    seekbackward: (details) => by(-1000 * (details.seekOffset ?? STEP_MS / 1000)),
    seekforward: (details) => by(1000 * (details.seekOffset ?? STEP_MS / 1000)),
    seekto: (details) => player.seek(host, details.seekTime * 1000),
    nexttrack: () => host.playNext(),
  };
  for (const [name, act] of Object.entries(actions)) session.setActionHandler(name, act);
}
