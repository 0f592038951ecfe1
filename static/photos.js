// Photos: a picture that is too large for a message is made smaller. It is loaded with the first such file.
//
// The picture is drawn anew, upright, so that nothing of the file goes along: not where it was taken, nor with what.
//
// It is not: sending (files.js). A picture that fits is sent as it is.

/** Pixels of the longer side at most: phones draw no larger canvas (iOS: 16 million pixels in all). */
const LONGEST = 4_000;

/** A picture of this length that is still too large is given up. */
const SHORTEST = 64;

const QUALITY = 0.85;

/** Each step is at least so much shorter, since the size of a JPEG cannot be foretold. */
const STEP = 0.85;

/** What moves: GIF, AVIF sequences, and by the chunks at their beginning WebP and PNG. Drawn anew it would stand still. */
const ANIMATED = /^GIF8|^[^]{4}ftypavis|^RIFF[^]{4}WEBP[^]*?ANIM|^.PNG[^]*?acTL/;

const STILL = "A picture that moves is not made smaller, or it would stand still.";

/** So many bytes hold that beginning. */
const BEGINNING = 64 << 10;

/**
 * The picture as a JPEG of so many bytes at most, or in a sentence why there is none.
 * @param {File} file
 * @param {number} limit
 * @returns {Promise<File | string>}
 */
export async function smaller(file, limit) {
  const beginning = await file.slice(0, BEGINNING).arrayBuffer().catch(() => new ArrayBuffer());
  if (ANIMATED.test(new TextDecoder("latin1").decode(beginning))) return STILL;
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (!picture) return ""; // no picture, or none that this browser knows
  try {
    const photo = await fitting(picture, limit);
    return photo ? new File([photo], asJpeg(file.name), { type: photo.type }) : "It cannot be made that small.";
  } finally {
    picture.close();
  }
}

/** @param {ImageBitmap} picture @param {number} limit */
async function fitting(picture, limit) {
  const whole = Math.max(picture.width, picture.height);
  let longer = Math.min(whole, LONGEST);
  while (longer >= Math.min(whole, SHORTEST)) {
    const photo = await drawn(picture, longer / whole);
    if (photo.size <= limit) return photo;
    longer = Math.floor(longer * Math.min(STEP, Math.sqrt(limit / photo.size)));
  }
  return null;
}

/** @param {ImageBitmap} picture @param {number} scale */
function drawn(picture, scale) {
  const canvas = new OffscreenCanvas(Math.ceil(picture.width * scale), Math.ceil(picture.height * scale));
  const pen = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = "#fff"; // behind what is transparent, which JPEG would make black
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

/** @param {string} name */
function asJpeg(name) {
  return /\.jpe?g$/i.test(name) ? name : `${name.replace(/\.\w+$/, "")}.jpg`;
}
