//! Prints sizes, rates and times in few columns.

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// Stands for what is not known.
const UNKNOWN: &str = "-";

/// Bytes with a unit of 1000 and three digits, such as `1.24 GB`.
pub(super) fn bytes(count: Option<f64>) -> String {
    let Some(mut count) = count else { return UNKNOWN.to_owned() };
    let mut unit = "B";
    for next in UNITS {
        if count < 999.5 {
            break;
        }
        count /= 1000.0;
        unit = next;
    }
    let digits = match count {
        _ if unit == "B" => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{count:.digits$} {unit}")
}

/// Bytes per second, such as `47.2 MB/s`.
pub(super) fn rate(per_second: Option<f64>) -> String {
    per_second.map_or_else(|| UNKNOWN.to_owned(), |rate| format!("{}/s", bytes(Some(rate))))
}

/// A whole number.
pub(super) fn count(count: Option<f64>) -> String {
    count.map_or_else(|| UNKNOWN.to_owned(), |count| format!("{count:.0}"))
}

/// A time in at most two units, such as `3 d 7 h`.
pub(super) fn span(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return UNKNOWN.to_owned() };
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (number, shown) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (999.6, "1.00 kB"),
            (1_240_000.0, "1.24 MB"),
            (47_200_000.0, "47.2 MB"),
            (999_600_000.0, "1.00 GB"),
            (18_446_744_073_709_551_615.0, "18.4 EB"),
        ] {
            assert_eq!(bytes(Some(number)), shown);
        }
        assert_eq!(
            (bytes(None), rate(None), count(None), span(None)),
            ("-".into(), "-".into(), "-".into(), "-".into())
        );
        assert_eq!(rate(Some(5e6)), "5.00 MB/s");
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, shown) in [
            (-1.0, "0 s"),
            (59.9, "59 s"),
            (60.0, "1 min 0 s"),
            (7260.0, "2 h 1 min"),
            (285_000.0, "3 d 7 h"),
        ] {
            assert_eq!(span(Some(seconds)), shown);
        }
    }
}
