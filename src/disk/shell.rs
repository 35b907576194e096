//! Paths in commands that a message proposes.

use std::path::Path;

/// The path as one word of a shell command, quoted where it needs to be. It is never an option.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    let is_plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_command() {
        for (path, word) in [
            ("ca", "ca"),
            ("/etc/tidegate/auth/htpasswd", "/etc/tidegate/auth/htpasswd"),
            ("my dir/ca", "'my dir/ca'"),
            ("it's", r"'it'\''s'"),
            ("$HOME/ca", "'$HOME/ca'"),
            ("~/ca", "'~/ca'"),
            ("a;b", "'a;b'"),
            ("-ca", "./-ca"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
