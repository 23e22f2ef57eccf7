/**
 * What the player's parts hand each other. Frames are numbers of the source video from 0; spans are [first, last], both
 * included; points on a frame are fractions of its width and height.
 *
 * @typedef {{times_s: number[], frame_count: number, height_px: number, width_px: number, shown_height_px: number,
 *   shown_width_px: number, annotated: number[], chunks: Chunk[]}} Video times_s: when each frame is shown
 * @typedef {{first: number, key: string, rest: string}} Chunk URLs: `key` holds the annotated frames, `rest` the others
 * @typedef {{size: [number, number], annotated: number[], rles: (string | null)[]}} Masks size is [height, width]
 * @typedef {{frame: number, x: number, y: number}} Point
 * @typedef {{choice: number, frame: number, size: [number, number], counts: string}} Outline
 * @typedef {"outline" | "fill" | "spotlight"} Style
 * @typedef {{frame: number, mask: number | null, exact: boolean}} Presented what the canvas shows right now: `mask` is
 *   the annotated frame whose mask was painted, null where none was; `exact` says that `frame` itself is annotated
 * @typedef {{lightMode?: boolean, reducedMotion?: boolean, limitBytes?: number, style?: string,
 *   onStyle?: (style: Style) => void, onFrame?: (shown: Presented) => void, onPoint?: (point: Point) => void}} Options
 *   limitBytes: decoded pictures kept, 256 MiB by default; style: how masks are shown at first; onStyle: the person
 *   chose another way
 */
export {};
