//! The status page in a real browser.

mod any_status;
mod real_traffic;

use std::env;
use std::path::PathBuf;

use crate::harness::browser::Browser;

/// A phone and a desktop, with both color schemes.
const VIEWS: [(&str, u32, u32, &str); 4] = [
    ("phone-light", 390, 1600, "light"),
    ("phone-dark", 390, 1600, "dark"),
    ("desktop-light", 1280, 1170, "light"),
    ("desktop-dark", 1280, 1170, "dark"),
];

/// Looks at the page in every view: nothing may stick out. Pictures are kept in the folder
/// `PICTURES`, if that is set.
fn look(browser: &mut Browser, name: &str) {
    let folder = env::var_os("PICTURES").map(PathBuf::from);
    for (view, width, height, scheme) in VIEWS {
        browser.view(width, scheme);
        let wide =
            browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(wide, 0, "{name} {view}: so many pixels stick out");
        let dark = browser.value("getComputedStyle(document.documentElement).backgroundColor");
        assert_eq!(dark == "rgb(9, 19, 26)", scheme == "dark", "{name} {view}: {dark}");
        if let Some(folder) = &folder {
            browser.screenshot(&folder.join(format!("{name}-{view}.png")), height);
        }
    }
}
