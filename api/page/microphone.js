// One recording from the microphone.

const LIMIT_MS = 60_000;
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

export const canRecord = Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

export class Microphone {
  #stream;
  #recorder;
  #context;
  #meter;
  #begun;

  /** Asks for the microphone and records; rejects when it is refused. */
  static async open() {
    const microphone = new Microphone();
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    microphone.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    microphone.#record();
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
      const pieces = [];
      this.#recorder.ondataavailable = ({ data }) => pieces.push(data);
      this.#recorder.onstop = () => {
        this.close();
        resolve({ blob: new Blob(pieces, { type: this.#recorder.mimeType }), duration });
      };
      this.#recorder.stop();
    });
  }

  close() {
    for (const track of this.#stream.getTracks()) track.stop();
    this.#context.close();
  }

  #record() {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(this.#stream, { mimeType, audioBitsPerSecond: 48_000 });
    this.#context = new AudioContext();
    this.#meter = new AnalyserNode(this.#context, { fftSize: 1024 });
    new MediaStreamAudioSourceNode(this.#context, { mediaStream: this.#stream }).connect(this.#meter);
    this.#recorder.start();
    this.#begun = performance.now();
  }
}
