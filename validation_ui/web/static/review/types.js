/**
 * The types of the review API: what the server sends (validation_ui/judging/item_views.py) and what the page sends.
 *
 * @typedef {{name: string, text: string}} Part
 * @typedef {{size: [number, number], annotated: number[], rles: (string | null)[]}} Masks
 * @typedef {{frame: number, x: number, y: number}} Point  x and y are fractions of the image's width and height
 * @typedef {{choice: number, frame: number, size: [number, number], counts: string}} Outline
 * @typedef {{answer: "pointed" | "ambiguous" | "absent", needs_extent: boolean, outlines: Outline[],
 *   revealed: boolean, waits: boolean, hit: boolean | null}} Pointing  waits: for the other blind items of the video
 * @typedef {{label: string, kind: string, decision: string, parts: Record<string, string>, reasons: string[],
 *   note: string, text: Record<string, string> | null,
 *   pointing: null | {answer: string, points: Point[], hit: boolean | null}}} Opinion
 * @typedef {{media_id: string, times_s: number[], frame_count: number, height_px: number, width_px: number,
 *   shown_height_px: number, shown_width_px: number, source: string, annotated: number[],
 *   chunks: {first: number, key: string, rest: string}[]}} Video
 * @typedef {{watched_frac: number, short_words: [fewest: number, most: number]}} Rules
 * @typedef {{
 *   slot: {id: number, kind: "sighted" | "blind" | "adjudicate", version: number, lease_until: number,
 *     server_now: number, entry: null | {done: number, of: number}},
 *   item: {public_id: string, kind: "long" | "short", version: number, parts: Part[], wants_short: boolean,
 *     suggested_short: string | null},
 *   video: Video, rules: Rules, masks: string | null, pointing: Pointing | null, opinions: Opinion[],
 *   draft: null | {body: Draft, version: number, saved_at: number}}} SlotView
 * @typedef {{code: string, message: string, counts?: Record<string, number>}} Why
 * @typedef {SlotView | {slot: null, why: Why}} Claimed
 * @typedef {Pointing & {next?: Claimed | null}} Answered  next: the item that comes while this one waits, if it was asked for
 * @typedef {{id: number, name: string, role: string, standing: string, restored_at: number, hotkeys: Record<string, string>,
 *   preferences: {theme?: string, light_mode?: boolean, hotkeys_off?: boolean}}} Me
 *
 * @typedef {"" | "right" | "wrong" | "unsure"} Verdict
 * @typedef {"" | "accept" | "edit" | "reject" | "flag"} Decision
 * @typedef {{decision: Decision, parts: Record<string, Verdict>, reasons: string[], note: string,
 *   text: Record<string, string> | null, short: string | null, short_is_right?: boolean, watched_frac: number}} Judged  short: null until it is written
 * @typedef {{answer: "" | "pointed" | "ambiguous" | "absent", points: Point[], candidates: number | null,
 *   brief: boolean}} Aim
 * @typedef {Partial<Judged> & {aim?: Aim, tab?: string}} Draft  `tab`: which browser tab wrote it; an answer that was
 *   taken back comes as a draft without `aim` and `tab`
 */

export {};
