// The decoder of the run, inside the page: onnxruntime on one thread of the processor.

import * as ort from "onnxruntime-web/wasm";
import type { SceneHead } from "./scene";
import type { Chunks } from "./unpack";

const MOST_WAITING = 100; // decodes; of more, those between are left out

interface Job {
  z: Float32Array;
  label: number;
  done: (x: Float32Array | null) => void;
}

export class Decoder {
  private readonly waiting: Job[] = [];
  private busy = false;
  count = 0; // of decodes that were made
  milliseconds = 0; // that the last one took

  private constructor(
    private readonly session: ort.InferenceSession,
    private readonly head: SceneHead,
    private readonly labels: string[],
    private readonly channelsLast: boolean,
  ) {}

  /** Starts the runtime and the model. */
  static async start(head: SceneHead, chunks: Chunks): Promise<Decoder> {
    const file = head.decoder;
    if (!("chunk" in file) || !head.runtime) throw new Error("this page holds no decoder");
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = (await chunks.bytes(head.runtime)).buffer;
    const session = await ort.InferenceSession.create(await chunks.bytes(file), {
      executionProviders: ["wasm"],
      logSeverityLevel: 3, // what it could not make faster is nobody's concern here
    });
    const decoder = new Decoder(session, head, file.labels, file.channels_last);
    await session.run(decoder.inputs({ z: new Float32Array(head.latent.dims), label: 0 })); // the first takes longer
    return decoder;
  }

  /**
   * Decodes codes, one behind the other, in the order in which they come.
   *
   * It gives null where so many came meanwhile that nobody would see this one. A conditional model is
   * given the number of a label.
   */
  decode(z: ArrayLike<number>, label = 0): Promise<Float32Array | null> {
    return new Promise((done) => {
      this.waiting.push({ z: Float32Array.from(z), label, done });
      if (this.waiting.length > MOST_WAITING) this.waiting.shift()!.done(null);
      if (!this.busy) void this.work();
    });
  }

  private async work(): Promise<void> {
    this.busy = true;
    for (let job = this.waiting.shift(); job; job = this.waiting.shift()) {
      const start = performance.now();
      const made = await this.session.run(this.inputs(job));
      this.milliseconds = performance.now() - start;
      this.count += 1;
      const x = made[this.session.outputNames[0]!]!.data as Float32Array;
      job.done(this.channelsLast ? channelsFirst(x, this.head.example.shape) : x);
    }
    this.busy = false;
  }

  private inputs(job: Pick<Job, "z" | "label">): Record<string, ort.Tensor> {
    const { dims } = this.head.latent;
    const rows = job.z.length / dims;
    const inputs: Record<string, ort.Tensor> = { z: new ort.Tensor("float32", job.z, [rows, dims]) };
    if (this.labels.length) {
      const labels = new BigInt64Array(rows).fill(BigInt(job.label));
      inputs.label = new ort.Tensor("int64", labels, [rows]);
    }
    return inputs;
  }
}

/** Brings examples whose channels stand last into the order of the originals. */
export function channelsFirst(x: Float32Array, shape: readonly number[]): Float32Array {
  const channels = shape[0]!;
  const places = shape.slice(1).reduce((a, b) => a * b, 1);
  const made = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const example = Math.floor(i / (channels * places));
    const rest = i % (channels * places);
    made[(example * channels + (rest % channels)) * places + Math.floor(rest / channels)] = x[i]!;
  }
  return made;
}
