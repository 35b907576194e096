//! The password of the first user.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

use super::super::exit::complain;
use super::super::htpasswd::error::HtpasswdError;
use super::super::htpasswd::password;
use super::answers::Answers;
use crate::disk;
use crate::secret::Secret;

/// 96 random bits cannot be guessed, and 24 letters and digits can be typed.
const RANDOM_BYTES: usize = 12;

pub(super) struct Password {
    secret: Secret,
    place: Place,
}

/// Who has a copy of the password.
enum Place {
    /// The user has typed it.
    Known,
    /// Nobody yet: it is random, and is printed once.
    Printed,
    /// A file that was there.
    File(PathBuf),
    /// A file that is to be written.
    NewFile(PathBuf),
}

impl Password {
    /// The one in `file`, or the one that is typed, or a random one.
    pub(super) fn choose(
        user: &str,
        file: Option<PathBuf>,
        answers: &Answers,
    ) -> Result<Self, HtpasswdError> {
        let (secret, place) = match file {
            Some(file) if file.exists() => {
                let content = disk::read(&file, disk::SMALL)
                    .map_err(|error| HtpasswdError::File(file.clone(), error))?;
                (password::read_line(&*content.bytes)?, Place::File(file))
            }
            Some(file) => (random()?, Place::NewFile(file)),
            None => match typed(user, answers)? {
                Some(secret) => (secret, Place::Known),
                None => (random()?, Place::Printed),
            },
        };
        password::check(secret.expose())?;
        Ok(Self { secret, place })
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// A file that has to be written.
    pub(super) fn new_file(&self) -> Option<&Path> {
        if let Place::NewFile(file) = &self.place { Some(file) } else { None }
    }

    /// What that file holds.
    pub(super) fn line(&self) -> Secret {
        Secret::new([self.secret.expose(), b"\n"].concat())
    }

    /// How the user learns it: the password itself only if nobody else has it.
    pub(super) fn shown(&self) -> String {
        match &self.place {
            Place::Known => "as you typed it".to_owned(),
            Place::Printed => {
                let text = String::from_utf8_lossy(self.secret.expose());
                format!("{text}   (shown only now, and written nowhere)")
            }
            Place::File(file) | Place::NewFile(file) => format!("in {}", file.display()),
        }
    }
}

/// What is typed, if somebody is asked and types something.
fn typed(user: &str, answers: &Answers) -> Result<Option<Secret>, HtpasswdError> {
    if !answers.asks() {
        return Ok(None);
    }
    complain("The first password: type one, or press Enter for a random one.");
    let secret = password::read(user, true)?;
    Ok(Some(secret).filter(|secret| !secret.expose().is_empty()))
}

fn random() -> Result<Secret, HtpasswdError> {
    let mut bytes = [0; RANDOM_BYTES];
    rand::fill(&mut bytes)
        .map_err(|_| HtpasswdError::System("the system gives no random numbers".to_owned()))?;
    Ok(Secret::new(HEXLOWER.encode(&bytes).into_bytes()))
}
