//! Which file does a picture become?

use std::{fmt, path::Path};

use serde::{Serialize, Serializer};

/// The file that a picture becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// PNG: nothing is lost, and every tool reads it.
    #[default]
    Png,
    /// JPEG: small, at a loss that `quality` decides.
    Jpeg {
        /// 0 for the smallest file, 100 for the best picture.
        quality: u8,
    },
    /// WebP without loss: smaller than PNG, and slower to write.
    Webp,
}

impl FileFormat {
    /// The name of every format, in requests and replies.
    pub const NAMES: [&'static str; 3] = ["png", "jpeg", "webp"];

    /// JPEG at its best.
    pub const JPEG: Self = Self::Jpeg { quality: 100 };

    /// The name in requests and replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg { .. } => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// Returns the format that a file's ending asks for; PNG where it says nothing of pictures.
    pub fn of_file(path: &Path) -> Self {
        let ending = path.extension().unwrap_or_default();
        match ending.to_ascii_lowercase().to_str() {
            Some("jpg" | "jpeg") => Self::JPEG,
            Some("webp") => Self::Webp,
            _ => Self::Png,
        }
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Replies tell the name alone.
impl Serialize for FileFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_what_its_ending_says() {
        for (file, format) in [
            ("a/out.png", FileFormat::Png),
            ("out.JPG", FileFormat::JPEG),
            ("out.jpeg", FileFormat::JPEG),
            ("out.webp", FileFormat::Webp),
            ("webp", FileFormat::Png),
            ("/dev/stdout", FileFormat::Png),
        ] {
            assert_eq!(FileFormat::of_file(Path::new(file)), format, "{file}");
        }
    }

    #[test]
    fn a_format_is_written_as_its_name_and_every_name_is_one() {
        let formats = [FileFormat::Png, FileFormat::JPEG, FileFormat::Webp];
        assert_eq!(formats.map(FileFormat::name), FileFormat::NAMES);
        assert_eq!(serde_json::to_string(&formats[1]).unwrap(), "\"jpeg\"");
    }
}
