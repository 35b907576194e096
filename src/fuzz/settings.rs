//! A proxy.toml. After a NUL may follow variables of the environment, one a line.
//!
//! Settings that were read and printed are read as the same. Every mistake is told in one line.

use std::path::Path;

use crate::config::Config;

/// Checks one input.
pub(super) fn settings(bytes: &[u8]) {
    let Ok(input) = str::from_utf8(bytes) else { return };
    let (text, environment) = input.split_once('\0').unwrap_or((input, ""));
    let variables: Vec<(String, String)> = environment
        .lines()
        .filter(|line| !line.contains('\0'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("TIDEGATE_{name}"), value.to_owned()))
        .collect();
    let path = Path::new("conf/proxy.toml");
    match Config::parse(path, text, &variables) {
        Ok(config) => {
            // The lines that warnings name are not the same.
            let config = Config { warnings: Vec::new(), ..config };
            let printed = config.to_toml();
            let again =
                Config::parse(path, &printed, &[]).map_err(|problems| format!("{problems}\n{printed}"));
            let again = again.expect("settings print as a file");
            assert_eq!(Config { warnings: Vec::new(), ..again }, config, "{printed}");
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            for problem in &problems.0 {
                assert!(!problem.to_string().contains(char::is_control), "{problem}");
                assert!(!problem.message.is_empty(), "{problem}");
            }
        }
    }
}
