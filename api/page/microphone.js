// One recording from the microphone.

const LIMIT_MS = 60_000;
// Encoders finish the frame they are in; the server takes 60 seconds and a little.
const STOP_S = 59.95;
const PIECE_MS = 1_000;
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

export const canRecord = Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

export class Microphone {
  #stream;
  #recorder;
  #context;
  #meter;
  #begun;
  #pieces = [];

  /** Asks for the microphone and records; rejects when it is refused. `grown(blob)` gets what there is, now and then;
   * `full()` is called at the limit, and when the microphone is taken away. */
  static async open({ grown, full }) {
    const microphone = new Microphone();
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    microphone.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    try {
      microphone.#record(grown);
      microphone.#watch(full);
    } catch (error) {
      microphone.close();
      throw error;
    }
    return microphone;
  }

  get elapsed() {
    return Math.min(performance.now() - this.#begun, LIMIT_MS);
  }

  get left() {
    return LIMIT_MS - this.elapsed;
  }

  /** 0 to 1. */
  get level() {
    const samples = new Float32Array(this.#meter.fftSize);
    this.#meter.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    return Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 60));
  }

  /** The recording: {blob, duration}. */
  stop() {
    const duration = this.elapsed;
    return new Promise((resolve) => {
      this.#recorder.onstop = () => {
        this.close();
        resolve({ blob: this.#blob(), duration });
      };
      if (this.#recorder.state === "inactive") this.#recorder.onstop();
      else this.#recorder.stop();
    });
  }

  close() {
    for (const track of this.#stream.getTracks()) track.stop();
    if (this.#context && this.#context.state !== "closed") this.#context.close();
  }

  #record(grown) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(this.#stream, { mimeType, audioBitsPerSecond: 48_000 });
    this.#recorder.ondataavailable = ({ data }) => {
      if (data.size) this.#pieces.push(data);
      if (this.#recorder.state === "recording") grown(this.#blob());
    };
    this.#recorder.start(PIECE_MS);
    this.#begun = performance.now();
  }

  #watch(full) {
    this.#context = new AudioContext();
    this.#meter = new AnalyserNode(this.#context, { fftSize: 1024 });
    new MediaStreamAudioSourceNode(this.#context, { mediaStream: this.#stream }).connect(this.#meter);
    // Timers are slowed down in a tab that nobody sees, the clock of the sound is not.
    const clock = new ConstantSourceNode(this.#context, { offset: 0 });
    clock.connect(this.#context.destination);
    clock.start();
    clock.stop(this.#context.currentTime + STOP_S);
    clock.onended = full;
    for (const track of this.#stream.getTracks()) track.onended = full;
  }

  #blob() {
    return new Blob(this.#pieces, { type: this.#recorder.mimeType });
  }
}
