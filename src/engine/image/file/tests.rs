//! Does every format give back its pixels and its parameters?

use std::io::Cursor;

use ::exif::{In, Reader, Tag, Value};
use jpeg_decoder::Decoder as JpegDecoder;

use super::*;
use crate::units::{FileFormat, ImageSize};

const PARAMETERS: &str = "a red cat, 1\u{b0}\nSteps: 8, Sampler: DDIM";
const BEYOND_LATIN_1: &str = "猫 🐱\nSteps: 8";

fn picture(size: &str, level: impl Fn(u64) -> u64) -> Pixels {
    let size: ImageSize = size.parse().unwrap();
    let rgb = (0..size.pixels() * 3).map(|i| level(i) as u8).collect();
    Pixels { size, rgb }
}

fn smooth() -> Pixels {
    picture("96x64", |i| i / 3 % 96 * 2 + i / 288)
}

fn noisy() -> Pixels {
    picture("96x64", |i| {
        (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 37
    })
}

fn read_png(file: &[u8]) -> (png::Info<'static>, Vec<u8>) {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    (reader.info().clone(), pixels)
}

fn read_webp(file: &[u8]) -> Vec<u8> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).unwrap();
    let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
    decoder.read_image(&mut pixels).unwrap();
    pixels
}

/// The comment as tools find it that know nothing of this program.
fn comment(file: &[u8]) -> Option<String> {
    let found = Reader::new().read_from_container(&mut Cursor::new(file));
    let found = found.ok()?;
    let Value::Undefined(bytes, _) = &found.get_field(Tag::UserComment, In::PRIMARY)?.value else {
        panic!("the comment is no text");
    };
    let letters = bytes.strip_prefix(b"UNICODE\0").unwrap();
    let letters: Vec<u16> = letters
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    Some(String::from_utf16(&letters).unwrap())
}

/// How far levels are off: on average and at most.
fn errors(a: &[u8], b: &[u8]) -> (f64, u8) {
    assert_eq!(a.len(), b.len());
    let each = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = each().map(u64::from).sum();
    (sum as f64 / a.len() as f64, each().max().unwrap())
}

#[test]
fn a_png_gives_back_its_pixels_and_parameters() {
    let file = smooth().to_file(FileFormat::Png, Some(PARAMETERS)).unwrap();
    let (info, pixels) = read_png(&file);
    assert_eq!(pixels, smooth().rgb);
    let entry = &info.uncompressed_latin1_text[0];
    assert_eq!(
        (entry.keyword.as_str(), entry.text.as_str()),
        ("parameters", PARAMETERS)
    );
    let file = smooth().to_file(FileFormat::Png, Some(BEYOND_LATIN_1));
    let (info, _) = read_png(&file.unwrap());
    assert_eq!(info.utf8_text[0].get_text().unwrap(), BEYOND_LATIN_1);
}

#[test]
fn a_webp_gives_back_its_pixels_and_parameters() {
    for pixels in [smooth(), noisy()] {
        for parameters in [None, Some(PARAMETERS), Some(BEYOND_LATIN_1)] {
            let file = pixels.to_file(FileFormat::Webp, parameters).unwrap();
            assert_eq!(read_webp(&file), pixels.rgb);
            assert_eq!(comment(&file).as_deref(), parameters);
        }
    }
}

#[test]
fn a_jpeg_gives_back_its_parameters_and_nearly_its_pixels_the_more_so_the_better_it_is() {
    let mut sizes = Vec::new();
    let mut means = Vec::new();
    for quality in [0, 50, 80, 100] {
        let format = FileFormat::Jpeg { quality };
        let file = smooth().to_file(format, Some(BEYOND_LATIN_1)).unwrap();
        assert_eq!(comment(&file).as_deref(), Some(BEYOND_LATIN_1));
        let mut decoder = JpegDecoder::new(Cursor::new(&file));
        let (mean, _) = errors(&decoder.decode().unwrap(), &smooth().rgb);
        let info = decoder.info().unwrap();
        assert_eq!((info.width, info.height), (96, 64));
        sizes.push(file.len());
        means.push(mean);
    }
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
    assert!(means.is_sorted_by(|a, b| a > b), "{means:?}");
    let best = noisy().to_file(FileFormat::JPEG, None).unwrap();
    let decoded = JpegDecoder::new(Cursor::new(&best)).decode().unwrap();
    let (mean, most) = errors(&decoded, &noisy().rgb);
    assert!(mean < 1.0 && most <= 5, "{mean} on average, {most} at most");
}

#[test]
fn a_text_too_long_for_a_jpeg_is_left_out_and_the_picture_is_written() {
    let words = |letters: usize| "x".repeat(letters);
    let fits = (LONGEST_JPEG_EXIF - exif::with_comment("").len()) / 2;
    for (letters, is_kept) in [(fits, true), (fits + 1, false)] {
        let file = smooth().to_file(FileFormat::JPEG, Some(&words(letters)));
        let file = file.unwrap();
        assert_eq!(comment(&file), is_kept.then(|| words(letters)));
        JpegDecoder::new(Cursor::new(&file)).decode().unwrap();
    }
}

#[test]
fn flat_smooth_and_noisy_pictures_come_back_and_none_is_much_larger_than_its_pixels() {
    let flat = picture("96x64", |_| 200);
    for (pixels, share) in [(flat, 0.05), (smooth(), 0.5), (noisy(), 1.05)] {
        for format in [FileFormat::Png, FileFormat::Webp] {
            let file = pixels.to_file(format, None).unwrap();
            let read = match format {
                FileFormat::Webp => read_webp(&file),
                _ => read_png(&file).1,
            };
            assert_eq!(read, pixels.rgb);
            let found = file.len() as f64 / pixels.rgb.len() as f64;
            assert!(found < share, "{found} of the pixels' size as {format}");
        }
    }
}

#[test]
fn a_picture_too_wide_for_a_format_is_refused() {
    let pixels = picture("65536x1", |_| 0);
    let refused = pixels.to_file(FileFormat::JPEG, None).unwrap_err();
    assert!(refused.to_string().contains("65536"), "{refused}");
    assert!(pixels.to_file(FileFormat::Webp, None).is_err());
}
