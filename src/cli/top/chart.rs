//! The last hour, as a row of bars for each direction.

use serde_json::Value;

use super::facts::{list, number};
use super::figures::rate;
use super::line::{Line, Style};
use super::size::Size;

/// Slots of an hour.
const SLOTS: usize = 360;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 9] = [' ', '.', '.', ':', '-', '=', '+', '*', '#'];

/// What stands before and after the bars.
const LABEL: usize = 10;
const END: usize = 16;

/// A line for each direction, each on a scale of its own, whose end stands behind it. Nothing if
/// there is no chart.
pub(super) fn lines(chart: &Value, size: Size) -> Vec<Line> {
    let interval = number(chart, "/interval").filter(|interval| *interval > 0.0).unwrap_or(10.0);
    let Some(width) = size.width.checked_sub(LABEL + END).filter(|width| *width >= 10) else {
        return Vec::new();
    };
    [("last hour ", "/sent", Style::Pull), ("          ", "/received", Style::Push)]
        .into_iter()
        .filter_map(|(label, key, style)| {
            let slots: Vec<f64> = list(chart, key).iter().map(|slot| slot.as_f64().unwrap_or(0.0)).collect();
            let bars = bars(&slots, width.min(SLOTS));
            let most = bars.iter().copied().fold(0.0, f64::max);
            let glyphs = if size.blocks { BLOCKS } else { ASCII };
            let drawn: String = bars.iter().map(|bar| glyph(*bar, most, glyphs)).collect();
            let line = Line::new(Style::Dim, label).and(style, drawn);
            (!slots.is_empty()).then(|| line.and(Style::Dim, format!(" max {}", rate(Some(most / interval)))))
        })
        .collect()
}

/// The largest slot of each part of the hour; slots that are not there yet are 0.
fn bars(slots: &[f64], width: usize) -> Vec<f64> {
    let missing = SLOTS.saturating_sub(slots.len());
    let slot =
        |index: usize| index.checked_sub(missing).and_then(|index| slots.get(index)).copied().unwrap_or(0.0);
    (0..width)
        .map(|bar| (bar * SLOTS / width..(bar + 1) * SLOTS / width).map(slot).fold(0.0, f64::max))
        .collect()
}

fn glyph(bar: f64, most: f64, glyphs: [char; 9]) -> char {
    if bar <= 0.0 || most <= 0.0 {
        return glyphs[0];
    }
    let last = glyphs.len() - 1;
    glyphs[((bar / most * last as f64).ceil() as usize).clamp(1, last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_is_the_largest_slot_of_its_part() {
        let mut slots = vec![0.0; 358];
        slots.extend([5.0, 2.0]);
        assert_eq!(bars(&slots, 4), [0.0, 0.0, 0.0, 5.0]);
        assert_eq!(bars(&[7.0], 3), [0.0, 0.0, 7.0]);
        assert_eq!(bars(&[], 2), [0.0, 0.0]);
        assert_eq!((glyph(5.0, 5.0, ASCII), glyph(0.1, 5.0, ASCII), glyph(0.0, 5.0, ASCII)), ('#', '.', ' '));
    }
}
