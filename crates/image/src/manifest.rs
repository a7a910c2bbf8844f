//! What an image is: its files by digest, and where they come from. The image's own digest is that of this text.

use crate::chunks::Hashed;
use crate::error::{Error, at};
use crate::packages::{digest, hexadecimal};
pub use api::image::{FILE, File, Manifest, Origin};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::Path;

/// The text of the file.
pub(crate) fn text(manifest: &Manifest) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(manifest)
        .map_err(|error| Error::Lacks(format!("failed to write the manifest: {error}")))?;
    Ok(text + "\n")
}

/// An image that lies in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `sha256:` and the digest of the manifest.
    pub digest: String,
    /// What is in it.
    pub manifest: Manifest,
}

/// The digest of an image whose manifest has this text.
pub(crate) fn digest_of(text: &str) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(text.as_bytes())))
}

/// Reads the manifest of a directory; none if there is no such file.
pub fn read(directory: &Path) -> Result<Option<Image>, Error> {
    let path = directory.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("read", &path)(error)),
    };
    let manifest = serde_json::from_str(&text).map_err(|error| at("understand", &path)(error.into()))?;
    Ok(Some(Image { digest: digest_of(&text), manifest }))
}

/// The files of an image that are not what the manifest says, a sentence each.
pub fn differences(directory: &Path, manifest: &Manifest) -> Vec<String> {
    let differs = |file: &File| {
        // A name that leads out of the directory is none of ours.
        if file.name.contains('/') || file.name.starts_with('.') {
            return Some(format!("{} is no name of a file of an image", file.name));
        }
        match digest(&directory.join(&file.name)) {
            Err(error) => Some(format!("{} cannot be read: {error}", file.name)),
            Ok((size, _)) if size != file.size => {
                Some(format!("{} has {size} octets instead of {}", file.name, file.size))
            }
            Ok((_, sha256)) if sha256 != file.sha256 => Some(format!("{} has another content", file.name)),
            Ok(_) if file.chunks.is_empty() => None,
            Ok(_) => match pieces(&directory.join(&file.name)) {
                Ok(pieces) if pieces == file.chunks => None,
                // Machines would refuse an image that is whole.
                Ok(_) => Some(format!("{} has other pieces than the manifest says", file.name)),
                Err(error) => Some(format!("{} cannot be read: {error}", file.name)),
            },
        }
    };
    manifest.files.iter().filter_map(differs).collect()
}

/// The digests of a file's pieces.
fn pieces(path: &Path) -> io::Result<Vec<String>> {
    let mut hashed = Hashed::new(io::sink());
    io::copy(&mut fs::File::open(path)?, &mut hashed)?;
    Ok(hashed.end("").1.chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_named() {
        let directory = std::env::temp_dir().join(format!("zw-manifest-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("a"), b"one").unwrap();
        let file = |name: &str| File {
            name: name.into(),
            size: 3,
            sha256: hexadecimal(&Sha256::digest(b"one")),
            chunks: vec![],
        };
        let mut manifest = Manifest {
            kind: "installer".into(),
            kernel: "6.1".into(),
            modules: 0,
            absent: vec![],
            files: vec![file("a")],
            packages: vec![],
        };
        assert_eq!(differences(&directory, &manifest), [""; 0]);
        fs::write(directory.join("a"), b"two").unwrap();
        assert_eq!(differences(&directory, &manifest), ["a has another content"]);
        fs::write(directory.join("a"), b"three").unwrap();
        assert_eq!(differences(&directory, &manifest), ["a has 5 octets instead of 3"]);
        fs::write(directory.join("a"), b"one").unwrap();
        manifest.files[0].chunks = vec![manifest.files[0].sha256.clone()];
        assert_eq!(differences(&directory, &manifest), [""; 0]);
        manifest.files[0].chunks.push("0".repeat(64));
        assert_eq!(differences(&directory, &manifest), ["a has other pieces than the manifest says"]);
        manifest.files = vec![file("../a")];
        assert_eq!(differences(&directory, &manifest), ["../a is no name of a file of an image"]);

        assert_eq!(read(&directory).unwrap(), None);
        let text = text(&manifest).unwrap();
        fs::write(directory.join(FILE), &text).unwrap();
        assert_eq!(read(&directory).unwrap(), Some(Image { digest: digest_of(&text), manifest }));
        fs::remove_dir_all(&directory).unwrap();
    }
}
