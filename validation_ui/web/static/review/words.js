/** What things are called on the screen. */

/** @type {Record<string, string>} */
export const PART_NAMES = { object: "Object", scene: "Scene", video: "Video", short: "Expression" };

/** @type {Record<string, string>} */
export const PART_HINTS = {
  object: "what it is and how it looks",
  scene: "where it is, what is near it",
  video: "what it does",
  short: "points to this object alone",
};

/** @type {Record<string, string>} */
export const REASONS = {
  wrong_object: "It tells of another object",
  ambiguous: "It fits several objects",
  wrong_attribute: "Colour, shape or size is wrong",
  wrong_action: "Action or motion is wrong",
  hallucinated: "It names what is not there",
  mask_bad: "The mask is bad",
  mask_part_or_whole: "The mask is a part, the text the whole, or the other way",
  language: "The language is bad",
  unsafe: "Unsafe or personal",
  other: "Other: say it in the note",
};

/** @type {Record<string, string>} */
export const DECISIONS = { accept: "Accept", edit: "Edit", reject: "Reject", flag: "Flag" };

/** @type {Record<string, string>} */
export const DECIDED = { accept: "Accepted", edit: "Edited", reject: "Rejected", flag: "Flagged" };

export const VERDICTS = /** @type {const} */ (["right", "wrong", "unsure"]);

/** @type {Record<string, string>} */
export const VERDICT_NAMES = { right: "Right", wrong: "Wrong", unsure: "Unsure" };

/** Of a draft or an answer from before a backup was put in place. */
export const RESTORED = "A backup of the project was put in place after you wrote this, so its item may not be there any more. "
  + "It is not sent; copy it if you need it.";

/**
 * @param {string} text
 * @returns {number}
 */
export const countWords = (text) => text.match(/\S+/g)?.length ?? 0;
