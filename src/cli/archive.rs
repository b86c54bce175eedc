//! A tar archive on disk, unpacked into a temporary directory. Owns what is unpacked, and how much; does not know what the files
//! say.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

/// Files, directories and links that are unpacked. A clone of Kubespray with its history has about 5,000.
const MAX_ENTRIES: usize = 100_000;
/// Bytes that are unpacked.
const MAX_BYTES: u64 = 512 << 20;

/// Unpacks a `.tar`, `.tar.gz` or `.tgz`. Of each file come at most `most` bytes, and one more to show that there are more.
/// Pipes, devices, and names that lead out of the archive are left out.
///
/// # Errors
/// A file that is no such archive, one that is cut off, and one that holds too much.
pub(super) fn unpack(path: &Path, most: usize) -> io::Result<TempDir> {
    let file = io::BufReader::new(fs::File::open(path)?);
    let text = path.to_string_lossy();
    let bytes: Box<dyn io::Read> = if text.ends_with(".tar") {
        Box::new(file)
    } else if text.ends_with(".gz") || text.ends_with(".tgz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        return Err(io::Error::other("only `.tar` and `.tar.gz` are supported here; a build also reads other formats"));
    };
    let unpacked = tempfile::Builder::new().prefix("kso-tar-").tempdir()?;
    let root = &unpacked.path().canonicalize()?;
    // Links come last, so that no file is written through one.
    let mut links = Vec::new();
    let (mut entries, mut left) = (MAX_ENTRIES, MAX_BYTES);
    for entry in tar::Archive::new(bytes).entries()? {
        let entry = entry?;
        let too_much = || {
            let most = MAX_BYTES >> 20;
            io::Error::other(format!("it contains more than {most} MiB or {MAX_ENTRIES} files and directories"))
        };
        entries = entries.checked_sub(1).ok_or_else(too_much)?;
        let kind = entry.header().entry_type();
        let Some(place) = below(root, &entry.path()?) else { continue };
        if kind.is_dir() {
            fs::create_dir_all(&place)?;
        } else if kind.is_symlink() || kind.is_hard_link() {
            let Some(target) = entry.link_name()? else { continue };
            // A hard link, and an absolute symbolic one, lead from the root of the archive.
            let is_whole = kind.is_hard_link() || target.is_absolute();
            let target = if is_whole { below(root, &target) } else { Some(target.into_owned()) };
            create_parent(&place)?;
            links.extend(target.map(|target| (place, target)));
        } else if kind.is_file() {
            let mut bytes = Vec::new();
            entry.take(most as u64 + 1).read_to_end(&mut bytes)?;
            left = left.checked_sub(bytes.len() as u64).ok_or_else(too_much)?;
            create_parent(&place)?;
            fs::write(&place, bytes)?;
        }
    }
    for (place, target) in links {
        // One whose name is taken, or that lies behind another link, is of no archive that `tar` would write.
        let is_inside = place.parent().is_some_and(|parent| parent.canonicalize().is_ok_and(|real| real == parent));
        if is_inside && fs::symlink_metadata(&place).is_err() {
            symlink(target, &place)?;
        }
    }
    Ok(unpacked)
}

/// Where a path of the archive lies in a directory; `None` if it leads out of it.
fn below(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut place = root.to_owned();
    for part in path.components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(place)
}

fn create_parent(place: &Path) -> io::Result<()> {
    place.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use tar::{Builder, EntryType, Header};

    use super::*;

    fn entry(kind: EntryType, name: &str, link: &str, content: &[u8]) -> (Header, Vec<u8>) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        (header, content.to_vec())
    }

    fn unpacked(entries: &[(Header, Vec<u8>)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let mut tar = Builder::new(fs::File::create(&path).unwrap());
        for (header, content) in entries {
            tar.append(header, content.as_slice()).unwrap();
        }
        tar.finish().unwrap();
        unpack(&path, 4).unwrap()
    }

    #[test]
    fn files_and_links_are_unpacked_and_large_files_are_cut() {
        let root = unpacked(&[
            entry(EntryType::Symlink, "./a/link", "../b/file", b""),
            entry(EntryType::Symlink, "a/whole", "/b/file", b""),
            entry(EntryType::Link, "a/hard", "b/file", b""),
            entry(EntryType::Regular, "b/file", "", b"one"),
            entry(EntryType::Regular, "b/large", "", b"12345678"),
            entry(EntryType::Fifo, "b/pipe", "", b""),
        ]);
        for name in ["a/link", "a/whole", "a/hard", "b/file"] {
            assert_eq!(fs::read(root.path().join(name)).unwrap(), b"one", "{name}");
        }
        assert_eq!(fs::read(root.path().join("b/large")).unwrap(), b"12345");
        assert!(!root.path().join("b/pipe").exists());
    }

    #[test]
    fn nothing_is_written_outside() {
        let outside = tempfile::tempdir().unwrap();
        let place = outside.path().to_str().unwrap();
        let root = unpacked(&[
            entry(EntryType::Symlink, "link", "../elsewhere", b""),
            entry(EntryType::Regular, "link/file", "", b"one"),
            entry(EntryType::Regular, "../above", "", b"one"),
            entry(EntryType::Regular, &format!("{place}/file"), "", b"one"),
        ]);
        assert!(fs::read_dir(place).unwrap().next().is_none());
        assert!(fs::symlink_metadata(root.path().join("link")).unwrap().is_dir());
        assert!(!root.path().parent().unwrap().join("above").exists());
        assert_eq!(fs::read(below(root.path(), Path::new(place)).unwrap().join("file")).unwrap(), b"one");
    }

    #[test]
    fn other_formats_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar.xz");
        fs::write(&path, "").unwrap();
        let why = unpack(&path, 4).unwrap_err().to_string();
        assert_eq!(why, "only `.tar` and `.tar.gz` are supported here; a build also reads other formats");
    }
}
