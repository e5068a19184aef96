//! What do the plans look like, side by side? A grid of pictures for eyes and documents.

use crate::{engine::Pixels, units::ImageSize};

/// Pixels between pictures.
const GAP: u32 = 2;
/// Pixels between groups of rows.
const GROUP_GAP: u32 = 10;
const WHITE: u8 = 255;

/// Lays out groups of rows of pictures on white; all pictures have the size of the first one.
///
/// # Panics
/// If there is no picture, or rows differ in length.
pub fn layout(groups: &[Vec<Vec<Pixels>>]) -> Pixels {
    let tile = groups[0][0][0].size;
    let n_columns = groups[0][0].len() as u32;
    let n_rows: u32 = groups.iter().map(|rows| rows.len() as u32).sum();
    let n_groups = groups.len() as u32;
    let size = ImageSize {
        width: n_columns * (tile.width + GAP) - GAP,
        height: n_rows * (tile.height + GAP) - GAP + (n_groups - 1) * (GROUP_GAP - GAP),
    };
    let mut sheet = Pixels {
        size,
        rgb: vec![WHITE; 3 * size.pixels() as usize],
    };
    let mut top = 0;
    for rows in groups {
        for row in rows {
            assert_eq!(
                row.len() as u32,
                n_columns,
                "every row has a picture in every column"
            );
            for (column, picture) in row.iter().enumerate() {
                paste(&mut sheet, picture, column as u32 * (tile.width + GAP), top);
            }
            top += tile.height + GAP;
        }
        top += GROUP_GAP - GAP;
    }
    sheet
}

fn paste(sheet: &mut Pixels, picture: &Pixels, left: u32, top: u32) {
    let line = 3 * picture.size.width as usize;
    for (y, pixels) in picture.rgb.chunks_exact(line).enumerate() {
        let start = 3 * ((top as usize + y) * sheet.size.width as usize + left as usize);
        sheet.rgb[start..start + line].copy_from_slice(pixels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(level: u8) -> Pixels {
        Pixels {
            size: "4x3".parse().unwrap(),
            rgb: vec![level; 36],
        }
    }

    #[test]
    fn every_picture_stands_in_its_place() {
        let sheet = layout(&[vec![vec![tile(1), tile(2)]], vec![vec![tile(3), tile(4)]]]);
        assert_eq!(sheet.size.to_string(), "10x16");
        let level = |x: usize, y: usize| sheet.rgb[3 * (y * 10 + x)];
        assert_eq!(
            (level(0, 0), level(6, 2), level(3, 13), level(9, 15)),
            (1, 2, 3, 4)
        );
        assert_eq!(
            (level(4, 0), level(5, 2), level(0, 3), level(0, 12)),
            (WHITE, WHITE, WHITE, WHITE)
        );
    }
}
