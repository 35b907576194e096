//! A file with a secret that replicas share.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pair::unreadable;
use crate::disk;
use crate::problem::Problem;
use crate::secret::Secret;

/// 256 bits, too many to guess.
const LEAST: usize = 32;

/// Reads the secret: base64, as `openssl rand -base64 48` prints it. White space is ignored.
pub(crate) fn read(path: &Path) -> Result<Secret, Problem> {
    let content = disk::read(path, disk::SMALL).map_err(|error| unreadable(path, &error))?;
    if let Some(message) = content.mode.exposed("is a secret") {
        return Err(Problem::at(path, message));
    }
    let text: Vec<u8> = content.bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    // The library's error quotes a byte of the secret.
    let secret = STANDARD.decode(text).unwrap_or_default();
    if secret.len() < LEAST {
        return Err(Problem::at(
            path,
            "does not hold at least 32 random bytes in base64; make it with \
             `openssl rand -base64 48` and give every replica the same file",
        ));
    }
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::fixtures::{Folder, set_mode};

    #[test]
    fn the_secret_may_be_broken_into_lines() {
        let folder = Folder::new();
        let secret: Vec<u8> = (0..64).collect();
        let text = STANDARD.encode(&secret);
        let (first, second) = text.split_at(64);
        let file = folder.write("tickets", format!("{first}\r\n{second}\n"));
        assert_eq!(read(&file).unwrap().expose(), secret);
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_quoted() {
        let folder = Folder::new();
        let short = STANDARD.encode([7; 31]);
        for text in ["", "\n", "correct horse battery staple, correct horse", &short] {
            let told = read(&folder.write("tickets", text)).unwrap_err().message;
            assert!(told.starts_with("does not hold at least 32 random bytes"), "{text}: {told}");
            assert!(!told.contains("horse"), "{told}");
        }
        assert!(read(&folder.path("none")).unwrap_err().missing);
    }

    #[test]
    fn a_secret_that_everyone_can_read_is_none() {
        let folder = Folder::new();
        let file = folder.write("tickets", STANDARD.encode([7; 32]));
        for (mode, fine) in [(0o640, true), (0o400, true), (0o644, false), (0o602, false)] {
            set_mode(&file, mode);
            assert_eq!(read(&file).is_ok(), fine, "{mode:o}");
        }
        let told = read(&file).unwrap_err().message;
        assert!(told.starts_with("is a secret that every user of this machine can use"), "{told}");
    }
}
