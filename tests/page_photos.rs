//! The page and photos: a picture that is too large for a message is made smaller before it is sent, upright and
//! without what a camera writes into it; any other file that is too large is refused.

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::{Browser, Program, Tab, request};

/// What the camera in these tests calls itself.
const CAMERA: &[u8] = b"Ada's camera";

const LIMIT: usize = 20 << 10;

fn program() -> Program {
    Program::start(&["--max-message-size", "20K"])
}

/// A picture of this type that the browser draws: red on the left, blue on the right, and so full of noise that it
/// is larger than the limit.
fn drawn(tab: &mut Tab, media_type: &str) -> Vec<u8> {
    let drawn = tab.asks(&format!(
        "(() => {{
            const canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [400, 200];
            const pen = canvas.getContext('2d');
            const image = pen.createImageData(400, 200);
            for (let i = 0; i < image.data.length; i += 4) {{
                const red = i / 4 % 400 < 200;
                const noise = Math.random() * 100;
                image.data.set([red ? 255 : noise, noise, red ? noise : 255, 255], i);
            }}
            pen.putImageData(image, 0, 0);
            return canvas.toDataURL({media_type:?}, 0.95).split(',')[1];
        }})()"
    ));
    let bytes = STANDARD.decode(drawn.as_str().expect("base64")).expect("base64");
    assert!(bytes.len() > LIMIT, "{} bytes are not too large", bytes.len());
    bytes
}

/// The segment APP1 of a JPEG from a camera that was held upright, so that its picture lies on its side (orientation
/// 6), with the camera's name and a place (north of the equator).
fn camera_data() -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        let mut entry = Vec::new();
        entry.extend(tag.to_be_bytes());
        entry.extend(kind.to_be_bytes());
        entry.extend(count.to_be_bytes());
        entry.extend(value.to_be_bytes());
        entry
    };
    let length = u32::try_from(CAMERA.len()).unwrap();
    let mut tiff = b"MM\0\x2a\0\0\0\x08".to_vec();
    tiff.extend(3_u16.to_be_bytes());
    let place_at = 8 + 2 + 3 * 12 + 4;
    tiff.extend(entry(0x010f, 2, length, place_at + 18)); // Make
    tiff.extend(entry(0x0112, 3, 1, 6 << 16)); // Orientation
    tiff.extend(entry(0x8825, 4, 1, place_at)); // GPS IFD
    tiff.extend([0; 4]);
    tiff.extend(1_u16.to_be_bytes());
    tiff.extend(entry(0x0001, 2, 2, u32::from_be_bytes(*b"N\0\0\0"))); // GPSLatitudeRef
    tiff.extend([0; 4]);
    tiff.extend(CAMERA);
    let body = [b"Exif\0\0", tiff.as_slice()].concat();
    let size = u16::try_from(body.len() + 2).unwrap();
    [&[0xff, 0xe1], &size.to_be_bytes()[..], &body].concat()
}

/// A JPEG as that camera takes it: the segment stands behind the start of the image.
fn photo(tab: &mut Tab) -> Vec<u8> {
    let picture = drawn(tab, "image/jpeg");
    [&picture[..2], &camera_data(), &picture[2..]].concat()
}

/// The newest message of the lobby, as the server keeps it, and its bytes.
fn kept(program: &Program) -> (Value, Vec<u8>) {
    let newest = request("GET", "/rooms/lobby/messages?limit=1", &[], "");
    let answer = program.is_visited().asks(newest).tells(200);
    let message = answer["messages"][0].clone();
    let bytes = STANDARD.decode(message["base64"].as_str().expect("a file")).expect("base64");
    (message, bytes)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The picture that somebody sees: its width and height, and the colours of its first and last point.
const SEEN: &str = "(() => {
    const picture = document.querySelector('#log img');
    const { naturalWidth: width, naturalHeight: height } = picture;
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    pen.drawImage(picture, 0, 0);
    const colour = (x, y) => { const [red, , blue] = pen.getImageData(x, y, 1, 1).data; return red > blue ? 'red' : 'blue'; };
    return [width, height, colour(3, 3), colour(width - 3, height - 3)];
})()";

const HAS_LOADED: &str = "(() => { const it = document.querySelector('#log img'); return !!it?.complete && it.naturalWidth > 0; })()";

#[test]
fn a_photo_that_is_too_large_is_made_smaller_upright_and_without_its_place() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    let photo = photo(&mut ada);
    assert!(contains(&photo, CAMERA) && contains(&photo, b"Exif"), "it has what is to go away");
    ada.sends_file(&browser.has_file("photo.jpg", &photo));
    bob.shows("the photo", HAS_LOADED);
    let seen = bob.asks(SEEN);
    let (width, height) = (seen[0].as_u64().unwrap(), seen[1].as_u64().unwrap());
    assert!(width * 2 <= height + 2 && height <= width * 2 + 2, "its shape is kept: {seen}");
    assert_eq!((&seen[2], &seen[3]), (&"red".into(), &"blue".into()), "the left side is up");
    let (message, bytes) = kept(&program);
    assert_eq!(message["name"], "photo.jpg");
    assert_eq!(message["media_type"], "image/jpeg");
    assert!(bytes.len() <= LIMIT && bytes.len() > LIMIT / 4, "{} bytes", bytes.len());
    assert!(!contains(&bytes, CAMERA) && !contains(&bytes, b"Exif"), "nothing of the camera");
    // She is told, with both sizes.
    let [was, is] = [&photo, &bytes].map(|file| (file.len() + 500) / 1_000);
    ada.is_told(&format!("photo.jpg was made smaller: {was} KB → {is} KB"));
    ada.has_no_complaints();
    bob.has_no_complaints();
}

#[test]
fn a_picture_of_another_type_becomes_a_jpeg() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let picture = drawn(&mut ada, "image/png");
    ada.sends_file(&browser.has_file("screen shot.png", &picture));
    ada.shows("the picture", HAS_LOADED);
    let (message, bytes) = kept(&program);
    assert_eq!(
        (&message["name"], &message["media_type"]),
        (&"screen shot.jpg".into(), &"image/jpeg".into())
    );
    assert!(bytes.starts_with(b"\xff\xd8\xff") && bytes.len() <= LIMIT);
    ada.has_no_complaints();
}

#[test]
fn a_picture_that_fits_is_sent_as_it_is() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let photo = photo(&mut ada);
    ada.sends_file(&browser.has_file("photo.jpg", &photo));
    ada.shows("the photo", HAS_LOADED);
    assert_eq!(kept(&program).1, photo);
}

#[test]
fn what_cannot_be_made_smaller_is_refused_and_the_rest_goes() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let too_much = vec![7; LIMIT + 1];
    let limit = "it has 20 KB, and a message here has 20 KB at most.";
    let moves = "A picture that moves is not made smaller, or it would stand still.";
    let of = |start: &[u8]| [start, &too_much[start.len()..]].concat();
    ada.sends_file(&browser.has_file("data.bin", &too_much));
    ada.is_told(&format!("data.bin was not sent: {limit}"));
    ada.sends_file(&browser.has_file("dance.gif", &of(b"GIF89a")));
    ada.is_told(&format!("dance.gif was not sent: {limit} {moves}"));
    ada.sends_file(
        &browser.has_file(
            "dance.webp",
            &of(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\0\0\0\0\0\0ANIM"),
        ),
    );
    ada.is_told(&format!("dance.webp was not sent: {limit} {moves}"));
    let png = drawn(&mut ada, "image/png");
    let control = b"\0\0\0\x08acTL\0\0\0\x02\0\0\0\0\0\0\0\0";
    ada.sends_file(&browser.has_file("dance.png", &[&png[..33], control, &png[33..]].concat()));
    ada.is_told("dance.png was not sent: it has ");
    // A name alone makes no picture.
    ada.sends_file(&browser.has_file("broken.jpg", &too_much));
    ada.is_told(&format!("broken.jpg was not sent: {limit}"));
    assert_eq!(ada.asks("document.querySelectorAll('#log .message').length"), 0);
    ada.sends_file(&browser.has_file("small.bin", b"small"));
    ada.shows("the file", "document.querySelector('#log a[download=\"small.bin\"]') !== null");
    ada.has_no_complaints();
}

/// A file that a script has posted has the name that it was given there.
#[test]
fn a_file_that_was_posted_shows_its_name() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let name =
        "Content-Disposition: attachment; filename=\"x.txt\"; filename*=UTF-8''Pl%C3%A4ne.txt";
    let post = request("POST", "/rooms/physics", &[name, "Content-Type: text/plain"], "Monday");
    assert_eq!(program.is_visited().asks(post).status, 202);
    ada.reads("#log .attachment", "Pläne.txt, 6 bytes");
    assert_eq!(ada.asks("document.querySelector('#log .attachment').download"), "Pläne.txt");
    ada.has_no_complaints();
}
