//! What a duration, a size or a rate that does not parse was probably meant to be, for messages.

use std::time::Duration;

use super::complaint::Complaint;
use super::values::{parse_duration, parse_size, print_duration, print_size};

/// Habitual names of units, in lower case, and the unit to write.
const DURATIONS: [(&str, &[&str]); 5] = [
    ("ms", &["ms", "msec", "millis", "millisecond", "milliseconds"]),
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("d", &["d", "day", "days"]),
];
const SIZES: [(&str, &[&str]); 8] = [
    ("B", &["b", "byte", "bytes"]),
    ("kB", &["kb"]),
    ("MB", &["mb"]),
    ("GB", &["gb"]),
    ("KiB", &["k", "kib"]),
    ("MiB", &["m", "mib"]),
    ("GiB", &["g", "gib"]),
    ("TiB", &["t", "tib"]),
];

/// One number of a text and the word after it, in lower case.
struct Quantity {
    whole: u64,
    thousandths: u64,
    unit: String,
}

/// The durations that `text` may stand for, the likeliest first.
pub(super) fn durations(text: &str) -> Vec<String> {
    let Some(quantities) = quantities(text) else { return Vec::new() };
    match quantities.as_slice() {
        [Quantity { whole, thousandths: 0, unit }] if unit.is_empty() => {
            ["s", "ms", "m", "h"].map(|unit| format!("{whole}{unit}")).to_vec()
        }
        [one @ Quantity { thousandths: 0, .. }] => {
            one.unit(&DURATIONS).map(|unit| format!("{}{unit}", one.whole)).into_iter().collect()
        }
        several => several
            .iter()
            .map(Quantity::duration)
            .sum::<Option<_>>()
            .map(print_duration)
            .into_iter()
            .collect(),
    }
}

/// Reads a duration from the command line, as it is written in proxy.toml.
///
/// # Errors
/// What is wrong, and what to write.
pub(crate) fn duration_option(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|complaint| {
        let help = match durations(text).first() {
            Some(meant) if !text.trim_end().ends_with(|c: char| c.is_ascii_digit()) => {
                format!("write {meant}")
            }
            _ => "write a number and its unit, such as 14d or 36h".to_owned(),
        };
        match complaint {
            Complaint::Because(reason) => format!("{reason}; {help}"),
            Complaint::Shape => help,
        }
    })
}

/// The size that `text` may stand for.
pub(super) fn size(text: &str) -> Option<String> {
    let [one] = <[Quantity; 1]>::try_from(quantities(text)?).ok()?;
    let unit = one.unit(&SIZES)?;
    if one.thousandths == 0 {
        return Some(format!("{}{unit}", one.whole));
    }
    let factor = parse_size(&format!("1{unit}")).ok()?;
    let part = one.thousandths.checked_mul(factor)?;
    let bytes = one.whole.checked_mul(factor)?.checked_add(part / 1000)?;
    part.is_multiple_of(1000).then(|| print_size(bytes))
}

/// The rate that `text` may stand for.
pub(super) fn rate(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let bare = ["/s", "/sec", "/second"].iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower);
    let size = if bare.chars().all(|c| c.is_ascii_digit()) { size(&format!("{bare}B")) } else { size(bare) };
    size.map(|size| format!("{size}/s"))
}

impl Quantity {
    fn unit(&self, units: &[(&'static str, &[&str])]) -> Option<&'static str> {
        units.iter().find(|(_, names)| names.contains(&self.unit.as_str())).map(|(unit, _)| *unit)
    }

    fn duration(&self) -> Option<Duration> {
        let unit = if self.unit.is_empty() { "s" } else { self.unit(&DURATIONS)? };
        let one = parse_duration(&format!("1{unit}")).ok()?;
        let whole = one.checked_mul(u32::try_from(self.whole).ok()?)?;
        whole.checked_add(one * u32::try_from(self.thousandths).ok()? / 1000)
    }
}

/// Splits `1m 30s` or `1.5h`. At least one quantity.
fn quantities(text: &str) -> Option<Vec<Quantity>> {
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (whole, after) = split(rest, |c| c.is_ascii_digit());
        let fraction = after.strip_prefix(['.', ',']).map(|after| split(after, |c| c.is_ascii_digit()));
        let (fraction, after) = fraction.unwrap_or(("", after));
        let (unit, after) = split(after.trim_start(), char::is_alphabetic);
        found.push(Quantity {
            whole: whole.parse().ok()?,
            thousandths: format!("{fraction:0<3}").parse().ok().filter(|_| fraction.len() <= 3)?,
            unit: unit.to_lowercase(),
        });
        rest = after.trim_start();
    }
    (!found.is_empty()).then_some(found)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::values::parse_rate;
    use super::*;

    #[test]
    fn a_duration_is_spelled_as_it_is_written_here() {
        for (text, meant) in [
            ("300", "300s"),
            ("30 s", "30s"),
            ("30S", "30s"),
            ("30sec", "30s"),
            ("5 minutes", "5m"),
            ("1m30s", "90s"),
            ("1.5h", "90m"),
            ("0.5", "500ms"),
            ("2 Days", "2d"),
        ] {
            assert_eq!(durations(text).first().map(String::as_str), Some(meant), "{text}");
        }
        for text in ["", "s", "soon", "-1s", "1.0005s", "3 weeks", "1s!"] {
            assert_eq!(durations(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_size_or_rate_is_spelled_as_it_is_written_here() {
        for (text, meant) in [
            ("32K", "32KiB"),
            ("16 kib", "16KiB"),
            ("1gb", "1GB"),
            ("1.5MiB", "1536KiB"),
            ("10 bytes", "10B"),
        ] {
            assert_eq!(size(text).as_deref(), Some(meant), "{text}");
        }
        for (text, meant) in [
            ("500", "500B/s"),
            ("500B", "500B/s"),
            ("500/s", "500B/s"),
            ("64KiB", "64KiB/s"),
            ("1mb/sec", "1MB/s"),
        ] {
            assert_eq!(rate(text).as_deref(), Some(meant), "{text}");
        }
        for text in ["", "many", "1TB", "-1", "1.0001B"] {
            assert_eq!((size(text), rate(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn a_duration_on_the_command_line_is_corrected() {
        let either = "write a number and its unit, such as 14d or 36h";
        for (text, told) in [
            ("14", format!("the unit is missing; {either}")),
            ("14 d", "there is a space before the unit; write 14d".to_owned()),
            ("14 days", "the unit \"days\" is not one of ms, s, m, h, d; write 14d".to_owned()),
            ("2 weeks", format!("the unit \"weeks\" is not one of ms, s, m, h, d; {either}")),
            ("1.5d", "only whole numbers are accepted; use a smaller unit; write 36h".to_owned()),
        ] {
            assert_eq!(duration_option(text), Err(told));
        }
        assert_eq!(duration_option("0d"), Ok(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn what_is_proposed_parses(text in "[0-9]{0,6}([.,][0-9]{0,4})? ?[a-zA-Z/]{0,5}") {
            prop_assert!(durations(&text).iter().all(|meant| parse_duration(meant).is_ok()));
            prop_assert!(size(&text).is_none_or(|meant| parse_size(&meant).is_ok()));
            prop_assert!(rate(&text).is_none_or(|meant| parse_rate(&meant).is_ok()));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[0-9]{0,25}[.,]?[0-9]{0,25}[a-zµ]{0,3}|.*") {
            let _ = (durations(&text), size(&text), rate(&text));
        }
    }
}
