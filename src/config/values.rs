//! Durations, sizes and rates as text: `"30s"`, `"16KiB"`, `"500B/s"`; ranges that several keys
//! share.

use std::ops::RangeInclusive;
use std::thread::available_parallelism;
use std::time::Duration;

use http::StatusCode;

use super::complaint::Complaint;

pub(super) const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// The range of a time that is not zero.
pub(super) const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST_WAIT;
/// The range of a time that may be zero.
pub(super) const WAIT_OR_NONE: RangeInclusive<Duration> = Duration::ZERO..=LONGEST_WAIT;

pub(super) const MOST_THREADS: usize = 1024;

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Parses a whole number and its unit: ms, s, m, h or d.
pub(super) fn parse_duration(text: &str) -> Result<Duration, Complaint> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Err("the unit is missing".into());
    }
    scaled(number, unit, &DURATION_UNITS).map(Duration::from_millis)
}

/// The shortest text that [`parse_duration`] reads as the same duration, in whole milliseconds.
pub(super) fn print_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    print(milliseconds, &DURATION_UNITS)
}

/// Parses a number of bytes: a whole number, with or without a unit (B, kB, MB, GB, KiB, MiB, GiB,
/// TiB).
pub(super) fn parse_size(text: &str) -> Result<u64, Complaint> {
    let (number, unit) = split(text)?;
    if unit.is_empty() { Ok(number) } else { scaled(number, unit, &SIZE_UNITS) }
}

/// The text in the largest binary unit that [`parse_size`] reads as the same size.
pub(super) fn print_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    let binary = SIZE_UNITS.iter().filter(|(unit, _)| *unit == "B" || unit.ends_with("iB"));
    print(bytes, &binary.copied().collect::<Vec<_>>())
}

/// Bytes per second: a size with its unit and `/s`.
pub(super) fn parse_rate(text: &str) -> Result<u64, Complaint> {
    let size = text.strip_suffix("/s").ok_or("it does not end in /s")?;
    let (number, unit) = split(size)?;
    if unit.is_empty() {
        return Err("the unit is missing".into());
    }
    scaled(number, unit, &SIZE_UNITS)
}

/// The text that [`parse_rate`] reads as the same rate.
pub(super) fn print_rate(rate: u64) -> String {
    format!("{}/s", print_size(rate))
}

/// The number, or for 0 the cores divided by `divisor`, at least one.
pub(super) fn or_share_of_cores(number: usize, divisor: usize) -> usize {
    if number > 0 { number } else { (available_parallelism().map_or(1, usize::from) / divisor).max(1) }
}

pub(super) fn status(number: usize) -> Option<StatusCode> {
    StatusCode::from_u16(u16::try_from(number).ok()?).ok()
}

fn split(text: &str) -> Result<(u64, &str), Complaint> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.starts_with('-') {
        return Err("it is negative".into());
    }
    if digits.is_empty() {
        return Err("it does not begin with a number".into());
    }
    if unit.starts_with(['.', ',']) {
        return Err("only whole numbers are accepted; use a smaller unit".into());
    }
    let number = digits.parse().map_err(|_| "the number is too large")?;
    Ok((number, unit))
}

fn scaled(number: u64, unit: &str, units: &[(&str, u64)]) -> Result<u64, Complaint> {
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let (word, names) = (unit.trim(), units.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let reason = match word {
            "" => "the unit is missing".to_owned(),
            word if names.contains(&word) => "there is a space before the unit".to_owned(),
            word => format!("the unit {word:?} is not one of {}", names.join(", ")),
        };
        return Err(reason.into());
    };
    number.checked_mul(*factor).ok_or("it is too large".into())
}

fn print(number: u64, units: &[(&str, u64)]) -> String {
    let largest = units.iter().filter(|(_, factor)| number.is_multiple_of(*factor)).max_by_key(|unit| unit.1);
    largest.map_or_else(|| number.to_string(), |(unit, factor)| format!("{}{unit}", number / factor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        for bad in
            ["", "30", "s", "30 s", "30S", "1.5s", "-1s", "1m30s", "+3s", "30sec", "99999999999999999999d"]
        {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_and_rates() {
        assert_eq!(parse_size("16KiB"), Ok(16 << 10));
        assert_eq!(parse_size("4GiB"), Ok(4 << 30));
        assert_eq!(parse_size("1MB"), Ok(1_000_000));
        assert_eq!(parse_size("65536"), Ok(65536));
        assert_eq!(parse_rate("500B/s"), Ok(500));
        for bad in ["", "16K", "16 KiB", "KiB", "1.5MiB", "18446744073709551615KiB", "-1"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
        for bad in ["500", "500/s", "500B", "500B/m", "/s"] {
            assert!(parse_rate(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn printed_values_parse_again(number in any::<u64>(), scale in 0u32..40) {
            let number = number >> scale;
            let duration = Duration::from_millis(number);
            prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&print_size(number)), Ok(number));
            prop_assert_eq!(parse_rate(&print_rate(number)), Ok(number));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = (parse_duration(&text), parse_size(&text), parse_rate(&text));
        }
    }
}
