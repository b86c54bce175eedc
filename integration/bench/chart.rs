//! Bars as SVG. Owns how they look; does not know what they stand for.

use std::fmt::Write;

/// A group of bars under one heading.
pub(crate) struct Group {
    /// What the group stands for.
    pub(crate) heading: String,
    /// What each bar is called, and its length in the unit of the chart.
    pub(crate) bars: Vec<(String, f64)>,
}

const WIDTH: f64 = 720.0;
const NAMES: f64 = 190.0;
/// Room for the figure after the longest bar.
const FIGURES: f64 = 70.0;
const BAR: f64 = 18.0;
const HEADING: f64 = 30.0;

/// Draws the groups below one another, all to one scale. The first bar of a group is the one to look at.
pub(crate) fn bars(title: &str, unit: &str, groups: &[Group]) -> String {
    let most = groups.iter().flat_map(|group| &group.bars).map(|(_, value)| *value).fold(0.0, f64::max).max(1e-9);
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let rows = count(groups.iter().map(|group| group.bars.len()).sum());
    let height = HEADING + count(groups.len()) * HEADING + rows * BAR + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n"
    );
    let mut y = HEADING;
    for group in groups {
        let _ = writeln!(svg, "<text x=\"10\" y=\"{:.0}\" font-weight=\"bold\">{}</text>", y + 20.0, group.heading);
        y += HEADING;
        for (number, (name, value)) in group.bars.iter().enumerate() {
            let length = value / most * (WIDTH - NAMES - FIGURES);
            let colour = if number == 0 { "#2563eb" } else { "#94a3b8" };
            let (baseline, end) = (y + 12.0, NAMES + length + 6.0);
            let _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{baseline:.0}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{NAMES}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"14\" fill=\"{colour}\"/>\
                 <text x=\"{end:.1}\" y=\"{baseline:.0}\">{value:.1} {unit}</text>",
                NAMES - 8.0
            );
            y += BAR;
        }
    }
    svg + "</svg>\n"
}
