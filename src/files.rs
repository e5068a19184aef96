//! How is a file written so that nobody ever sees half of it? Beside its place, and then renamed into it.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process,
};

/// Drafts of one file by one process that are tried before giving up.
const MAX_DRAFTS: u32 = 1000;

/// Writes a file whole: after a crash or an error there is the old file or the new one, and no other.
///
/// Folders that are missing are made. A link stays a link, the file behind it is replaced and keeps its
/// permissions. What is no file, such as `/dev/stdout`, cannot be replaced and is written to.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(path, |file| file.write_all(bytes))
}

fn replace_by(path: &Path, fill: impl Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
    let old = fs::metadata(path).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return fill(&mut OpenOptions::new().write(true).open(path)?);
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let (mut file, draft) = begin_draft(&path)?;
    let written = fill(&mut file)
        .and_then(|()| old.map_or(Ok(()), |old| file.set_permissions(old.permissions())))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&draft, &path));
    if written.is_err() {
        // The first error is the one to tell.
        fs::remove_file(&draft).ok();
    }
    written
}

/// Makes a new file beside `path`, in the same file system. Threads, other processes and what a crash
/// left behind may have drafts of the same file; none of them is touched.
fn begin_draft(path: &Path) -> io::Result<(File, PathBuf)> {
    let Some(name) = path.file_name() else {
        let reason = format!("{} is not the name of a file", path.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, reason));
    };
    let mut taken = None;
    for number in 0..MAX_DRAFTS {
        let mut draft = OsString::from(".");
        draft.push(name);
        draft.push(format!(".{}-{number}.part", process::id()));
        let draft = path.with_file_name(draft);
        match File::create_new(&draft) {
            Ok(file) => return Ok((file, draft)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => taken = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(taken.expect("at least one draft was tried"))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_missing_folders_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/down/out.png");
        for content in ["old and long", "new"] {
            replace(&file, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert_eq!(names(file.parent().unwrap()), ["out.png"]);
    }

    #[test]
    fn a_write_that_fails_half_way_leaves_the_old_file_whole_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("profile.json");
        let full = |file: &mut File| {
            file.write_all(b"half of the n")?;
            Err(ErrorKind::StorageFull.into())
        };
        replace_by(&file, full).unwrap_err();
        assert!(names(folder.path()).is_empty(), "there was no file");
        replace(&file, b"the old one").unwrap();
        let error = replace_by(&file, full).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read(&file).unwrap(), b"the old one");
        assert_eq!(names(folder.path()), ["profile.json"]);
    }

    #[test]
    fn drafts_that_others_left_are_no_obstacle_and_stay_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let (_, theirs) = begin_draft(&file).unwrap();
        replace(&file, b"ours").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"ours");
        assert_eq!(fs::read(&theirs).unwrap(), b"");
    }

    #[test]
    fn writers_at_the_same_time_leave_the_file_of_one_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let contents = [b'a', b'b', b'c', b'd'].map(|letter| vec![letter; 100_000]);
        thread::scope(|scope| {
            for content in &contents {
                scope.spawn(|| replace(&file, content).unwrap());
            }
        });
        assert!(contents.contains(&fs::read(&file).unwrap()));
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn a_folder_is_refused_and_no_name_too() {
        let folder = tempfile::tempdir().unwrap();
        replace(folder.path(), b"x").unwrap_err();
        assert!(folder.path().is_dir());
        replace(Path::new(""), b"x").unwrap_err();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_permissions_survive() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        replace(&file, b"old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }
}
