//! Where do JPEG and WebP keep a text? In Exif's `UserComment` (Exif 3.0, section 4.6.6), a TIFF
//! structure with one entry.
//!
//! AUTOMATIC1111's web interface writes it with piexif: the most significant byte first, and the text as
//! UTF-16 after the words that say so. Tools that read its pictures expect just that.

/// Most significant byte first, TIFF, and the first directory right behind.
const HEADER: [u8; 8] = [b'M', b'M', 0, 42, 0, 0, 0, 8];
/// The entry of the first directory that points to the Exif directory.
const EXIF_DIRECTORY: u16 = 0x8769;
const USER_COMMENT: u16 = 0x9286;
/// TIFF's type of 4-byte numbers.
const LONG: u16 = 4;
/// TIFF's type of bytes whose meaning the entry decides.
const UNDEFINED: u16 = 7;
/// How a comment says that UTF-16 follows.
const UTF_16: [u8; 8] = *b"UNICODE\0";
/// A directory of one entry: their number, the entry, and that no directory follows.
const DIRECTORY: u32 = 2 + 12 + 4;

/// Returns the TIFF structure that holds `text` as its comment.
pub(super) fn with_comment(text: &str) -> Vec<u8> {
    let letters = text.encode_utf16().flat_map(u16::to_be_bytes);
    let comment: Vec<u8> = UTF_16.into_iter().chain(letters).collect();
    let exif_at = HEADER.len() as u32 + DIRECTORY;
    let comment_at = exif_at + DIRECTORY;
    let mut tiff = HEADER.to_vec();
    tiff.extend(directory(EXIF_DIRECTORY, LONG, 1, exif_at));
    let length = comment.len() as u32;
    tiff.extend(directory(USER_COMMENT, UNDEFINED, length, comment_at));
    tiff.extend(comment);
    tiff
}

/// A directory of one entry whose value does not fit into the entry, or is a number.
fn directory(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
    let mut bytes = 1_u16.to_be_bytes().to_vec();
    bytes.extend(tag.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(value.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}
