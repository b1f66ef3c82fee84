// Points by WebGL2: all of them in one call, and those that are selected once more on top.

import type { Size, View } from "./camera";
import type { Look, Painter } from "./painter";

const VERTEX = `#version 300 es
in vec2 place;
in float shade;
in float flag;
uniform vec2 middle;
uniform vec2 scale;
uniform float size;
uniform float pass;  // 0: nothing is selected; 1: what is not selected; 2: what is
uniform float opacity;
uniform sampler2D palette;
out vec4 colour;
void main() {
  bool selected = flag > 1.5;
  bool hidden = mod(flag, 2.0) > 0.5;
  bool other = (pass == 1.0 && selected) || (pass == 2.0 && !selected);
  gl_Position = hidden || other ? vec4(2.0, 2.0, 2.0, 1.0) : vec4((place - middle) * scale, 0.0, 1.0);
  gl_PointSize = size;
  colour = texelFetch(palette, ivec2(int(shade + 0.5), 0), 0);
  colour.a = opacity;
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour;
out vec4 pixel;
uniform highp float size;  // as the vertices have it
void main() {
  float far = length(gl_PointCoord - 0.5) * size;
  float inside = clamp(size * 0.5 - far + 0.5, 0.0, 1.0);
  pixel = vec4(colour.rgb * colour.a * inside, colour.a * inside);
}`;

/** Draws points by WebGL2; ``null`` where the browser has none. */
export function glPainter(canvas: HTMLCanvasElement, places: Float32Array): Painter | null {
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
  return gl && new GlPainter(canvas, gl, places);
}

class GlPainter implements Painter {
  readonly kind = "webgl2";
  private program!: WebGLProgram;
  private shadeBuffer!: WebGLBuffer;
  private flagBuffer!: WebGLBuffer;
  private selected = false;
  private shades: Uint8Array;
  private flags: Uint8Array;
  private palette: Uint8Array = new Uint8Array(1024);
  private again: (() => void) | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly gl: WebGL2RenderingContext,
    private readonly places: Float32Array,
  ) {
    this.shades = new Uint8Array(places.length / 2);
    this.flags = new Uint8Array(places.length / 2);
    this.start();
    // A driver may take the context away and give another one.
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.start();
      this.mark(this.shades, this.flags);
      this.colours(this.palette);
      this.again?.();
    });
  }

  mark(shades: Uint8Array, flags: Uint8Array): void {
    this.shades = shades;
    this.flags = flags;
    this.selected = flags.some((flag) => flag === 2);
    this.fill(this.shadeBuffer, shades);
    this.fill(this.flagBuffer, flags);
  }

  colours(palette: Uint8Array): void {
    this.palette = palette;
    const { gl } = this;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, palette);
  }

  draw(view: View, size: Size, look: Look): void {
    this.again = () => this.draw(view, size, look);
    const { gl, canvas } = this;
    const width = Math.round(size.width * look.ratio);
    const height = Math.round(size.height * look.ratio);
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.places.length) return;
    const wide = 2 / view.width;
    gl.uniform2f(this.at("middle"), view.x, view.y);
    gl.uniform2f(this.at("scale"), wide, (wide * size.width) / size.height);
    gl.uniform1f(this.at("size"), look.size * look.ratio);
    const passes = this.selected
      ? ([
          [1, look.dim],
          [2, 1],
        ] as const)
      : ([[0, look.opacity]] as const);
    for (const [pass, opacity] of passes) {
      gl.uniform1f(this.at("pass"), pass);
      gl.uniform1f(this.at("opacity"), opacity);
      gl.drawArrays(gl.POINTS, 0, this.places.length / 2);
    }
  }

  private start(): void {
    const { gl } = this;
    this.program = program(gl);
    gl.useProgram(this.program);
    this.attribute("place", this.places, 2, gl.FLOAT);
    this.shadeBuffer = this.attribute("shade", this.shades, 1, gl.UNSIGNED_BYTE);
    this.flagBuffer = this.attribute("flag", this.flags, 1, gl.UNSIGNED_BYTE);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  private attribute(
    name: string,
    values: Float32Array | Uint8Array,
    n: number,
    type: number,
  ): WebGLBuffer {
    const { gl } = this;
    const buffer = gl.createBuffer();
    this.fill(buffer, values);
    const at = gl.getAttribLocation(this.program, name);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, n, type, false, 0, 0);
    return buffer;
  }

  private fill(buffer: WebGLBuffer, values: Float32Array | Uint8Array): void {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
  }

  private at(name: string): WebGLUniformLocation | null {
    return this.gl.getUniformLocation(this.program, name);
  }
}

function program(gl: WebGL2RenderingContext): WebGLProgram {
  const made = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ] as const) {
    const shader = gl.createShader(kind)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`the points cannot be drawn: ${gl.getProgramInfoLog(made)}`);
  }
  return made;
}
