//! What the answer to the bind of a user says about their password.

use crate::ldap::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Right,
    /// With the reason, for the log alone.
    Wrong(&'static str),
    /// Nothing about the password.
    Nothing,
}

pub(super) fn said(outcome: &Outcome) -> Said {
    match outcome.code {
        0 => Said::Right,
        49 => Said::Wrong(of_active_directory(&outcome.text).unwrap_or("wrong password")),
        53 => Said::Wrong("the directory is unwilling to let the user in"),
        19 => Said::Wrong("a constraint of the directory keeps the user out"),
        32 => Said::Wrong("the entry is gone"),
        34 => Said::Wrong("the directory does not accept the DN of the entry"),
        _ => Said::Nothing,
    }
}

/// The code behind `data` in the text of Active Directory and Samba.
fn of_active_directory(text: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once(" data ")?;
    let code = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    Some(match code {
        "525" => "no such user",
        "52e" | "52E" => "wrong password",
        "530" => "logins are not permitted at this time",
        "531" => "logins are not permitted from this machine",
        "532" => "password expired",
        "533" => "disabled",
        "701" => "account expired",
        "773" => "the password must be changed first",
        "775" => "locked",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: u32, text: &str) -> Outcome {
        Outcome { code, text: text.to_owned() }
    }

    #[test]
    fn codes_of_active_directory_become_reasons() {
        let text = |data: &str| {
            format!(
                "80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data {data}, v2580\0"
            )
        };
        for (data, reason) in [
            ("52e", "wrong password"),
            ("530", "logins are not permitted at this time"),
            ("531", "logins are not permitted from this machine"),
            ("532", "password expired"),
            ("533", "disabled"),
            ("701", "account expired"),
            ("773", "the password must be changed first"),
            ("775", "locked"),
            ("fff", "wrong password"),
        ] {
            assert_eq!(said(&outcome(49, &text(data))), Said::Wrong(reason));
        }
        assert_eq!(said(&outcome(49, "")), Said::Wrong("wrong password"));
    }

    #[test]
    fn only_what_is_about_the_user_is_a_wrong_password() {
        for code in [49, 53, 19, 32, 34] {
            assert!(matches!(said(&outcome(code, "")), Said::Wrong(_)), "{code}");
        }
        for code in [1, 2, 3, 7, 8, 10, 13, 14, 51, 52, 80, 118] {
            assert_eq!(said(&outcome(code, "data 533")), Said::Nothing, "{code}");
        }
    }
}
