//! Pictures of one column as inline SVG: two ECDFs with their largest gap, the histograms of both, or
//! shares by category.

use std::fmt::Write;

use crate::drift::picture::{Gap, Histogram, Picture, Share};
use crate::drift::report::FeatureReport;
use crate::feature::Kind;

use super::axis::Axis;
use super::text::{self, Escaped};

/// Width of every picture in its own units; the page scales it.
const WIDTH: f64 = 520.0;

/// The plot of two ECDFs within its picture.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 508.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 236.0;
const ECDF_HEIGHT: f64 = 288.0;

/// The two panels of histograms, one upon the other, by their floors.
const PANEL: f64 = 60.0;
const PANELS: [(&str, f64); 2] = [("reference", 76.0), ("current", 150.0)];
const HISTOGRAM_HEIGHT: f64 = 180.0;

/// The bars of categories within their picture.
const BARS_LEFT: f64 = 172.0;
const BARS_RIGHT: f64 = 452.0;
const BAR: f64 = 14.0;
const BAR_PITCH: f64 = 42.0;

impl FeatureReport {
    /// The column's picture as inline SVG, escaped; `admin/page.css` gives it its colours. A method,
    /// so that a report of files can draw what the page draws. `None` where there is nothing to draw.
    #[must_use]
    pub(crate) fn svg(&self) -> Option<String> {
        picture(self)
    }
}

/// The picture of a column; `None` where there is nothing to draw.
pub(super) fn picture(feature: &FeatureReport) -> Option<String> {
    match feature.picture.as_ref()? {
        Picture::Ecdf {
            reference,
            current,
            gap,
            ..
        } => ecdf(feature, reference, current, *gap),
        Picture::Shares(shares) => (!shares.is_empty()).then(|| bars(feature, shares)),
    }
}

fn ecdf(
    feature: &FeatureReport,
    reference: &[(f64, f64)],
    current: &[(f64, f64)],
    gap: Option<Gap>,
) -> Option<String> {
    let axis = Axis::over([reference, current], gap.map(|gap| gap.location))?;
    let name = text::shortened(&feature.name, 40);
    let what = match feature.kind {
        Some(Kind::Text) => format!("{name}: length in characters"),
        _ => name,
    };
    let mut label = format!("Cumulative distribution of {what}, reference and current.");
    if let Some(gap) = gap {
        let _ = write!(
            label,
            " Largest gap {} at {}: {} of the reference values are at or below it, {} of the current ones.",
            text::number((gap.reference - gap.current).abs()),
            text::number(gap.location),
            text::percent(gap.reference),
            text::percent(gap.current),
        );
    }
    let mut svg = open(ECDF_HEIGHT, &label);
    legend(&mut svg, LEFT, |side, x| {
        format!("<path class=\"line {side}\" d=\"M{x} 14h26\"/>")
    });
    for (share, label) in [
        (0.0, "0"),
        (0.25, ""),
        (0.5, "50 %"),
        (0.75, ""),
        (1.0, "100 %"),
    ] {
        let y = height(share);
        let class = if share > 0.0 { "grid" } else { "base" };
        let _ = write!(svg, "<path class=\"{class}\" d=\"M{LEFT} {y}H{RIGHT}\"/>");
        let (x, y) = (LEFT - 6.0, y + 4.0);
        let _ = write!(
            svg,
            "<text class=\"tick end\" x=\"{x}\" y=\"{y}\">{label}</text>"
        );
    }
    ticks(&mut svg, &axis, BOTTOM);
    let cut = if axis.cut {
        " (axis cut at outliers)"
    } else {
        ""
    };
    let middle = f64::midpoint(LEFT, RIGHT);
    let y = ECDF_HEIGHT - 10.0;
    let _ = write!(
        svg,
        "<text class=\"axis mid\" x=\"{middle}\" y=\"{y}\">{}{cut}</text>",
        Escaped(&what)
    );
    for (side, points) in [("reference", reference), ("current", current)] {
        let path = steps(&axis, points);
        let _ = write!(svg, "<path class=\"line {side}\" d=\"{path}\"/>");
    }
    if let Some(gap) = gap.filter(|gap| gap.location.is_finite()) {
        mark(&mut svg, &axis, gap);
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// The histograms of both sides on the axis of the ECDFs above them; `None` where there are none.
pub(super) fn histograms(feature: &FeatureReport) -> Option<String> {
    let Picture::Ecdf {
        reference,
        current,
        gap,
        histogram: Some(histogram),
    } = feature.picture.as_ref()?
    else {
        return None;
    };
    let axis = Axis::over([reference, current], gap.map(|gap| gap.location))?;
    let Histogram {
        cuts,
        reference,
        current,
    } = histogram;
    let bars = [reference, current];
    let most = (bars.iter().flat_map(|bars| bars.iter())).fold(1e-9, |a: f64, b| a.max(*b));
    let mut label = format!(
        "Histograms of {} in the same bins.",
        text::shortened(&feature.name, 40)
    );
    let mut panels = String::new();
    for ((side, floor), shares) in PANELS.into_iter().zip(bars) {
        let tallest = (0..).zip(shares).max_by(|a, b| a.1.total_cmp(b.1));
        if let Some((bin, share)) = tallest {
            let (share, bin) = (text::percent(*share), named(cuts, bin));
            let _ = write!(label, " The fullest bin of the {side}: {share}, {bin}.");
        }
        panel(&mut panels, &axis, (side, floor), cuts, shares, most);
    }
    let mut svg = open(HISTOGRAM_HEIGHT, &label);
    svg.push_str(&panels);
    ticks(&mut svg, &axis, PANELS[1].1);
    svg.push_str("</svg>");
    Some(svg)
}

/// One side's bars on the line at `floor`; the share `most` fills the height.
fn panel(
    svg: &mut String,
    axis: &Axis,
    (side, floor): (&str, f64),
    cuts: &[f64],
    shares: &[f64],
    most: f64,
) {
    let (x, y) = (LEFT - 6.0, floor - PANEL + 4.0);
    // Whole percents, where they say enough: a telephone has no room for more beside the axis.
    let digits = if most < 0.1 { 1000.0 } else { 100.0 };
    let top = text::percent((most * digits).round() / digits);
    let _ = write!(
        svg,
        "<path class=\"base\" d=\"M{LEFT} {floor}H{RIGHT}\"/>\
         <text class=\"tick end\" x=\"{x}\" y=\"{y}\">{top}</text>\
         <text class=\"legend end\" x=\"{RIGHT}\" y=\"{y}\">{side}</text>",
    );
    for (bin, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let [from, to] = edges(cuts, bin);
        let left = from.map_or(LEFT, |from| across(axis, from));
        let right = to.map_or(RIGHT, |to| across(axis, to));
        let height = share / most * PANEL;
        let (width, top) = ((right - left - 1.0).max(1.0), floor - height);
        let _ = write!(
            svg,
            "<rect class=\"bar {side}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"/>"
        );
    }
}

/// The edges of a bin. The outer bins are open, and drawn as wide as the others.
fn edges(cuts: &[f64], bin: usize) -> [Option<f64>; 2] {
    let [first, second, ..] = cuts else {
        let cut = cuts.first().copied();
        return if bin == 0 { [None, cut] } else { [cut, None] };
    };
    let step = second - first;
    let from = match bin.checked_sub(1) {
        None => Some(first - step),
        Some(before) => cuts.get(before).copied(),
    };
    let last = cuts.last().map(|last| last + step);
    [from, cuts.get(bin).copied().or(last)]
}

/// A bin in words.
fn named(cuts: &[f64], bin: usize) -> String {
    let cut = |index: usize| cuts.get(index).map(|cut| text::number(*cut));
    match (bin.checked_sub(1).and_then(cut), cut(bin)) {
        (Some(from), Some(to)) => format!("above {from} up to {to}"),
        (None, Some(to)) => format!("up to {to}"),
        (Some(from), None) => format!("above {from}"),
        (None, None) => "all".to_owned(),
    }
}

/// The ticks of the x axis below the line at `bottom`.
fn ticks(svg: &mut String, axis: &Axis, bottom: f64) {
    for (value, label) in axis.ticks() {
        let x = across(axis, value);
        let (end, y) = (bottom + 5.0, bottom + 20.0);
        let _ = write!(
            svg,
            "<path class=\"base\" d=\"M{x:.1} {bottom}V{end}\"/>\
             <text class=\"tick mid\" x=\"{x:.1}\" y=\"{y}\">{label}</text>"
        );
    }
}

/// The largest gap: a bracketed vertical line between the curves, labelled.
fn mark(svg: &mut String, axis: &Axis, gap: Gap) {
    let x = across(axis, gap.location);
    let (from, to) = (height(gap.reference), height(gap.current));
    let _ = write!(
        svg,
        "<path class=\"gap\" d=\"M{:.1} {from:.1}h8m-4 0V{to:.1}m-4 0h8\"/>",
        x - 4.0
    );
    let (class, at) = if x > LEFT + 0.7 * (RIGHT - LEFT) {
        ("gap-label end", x - 10.0)
    } else {
        ("gap-label", x + 10.0)
    };
    // Beside the line, or below right of it, clear of the curves, where it is too short for that.
    let short = (from - to).abs() < 24.0;
    let y = f64::midpoint(from, to) + if short { 28.0 } else { 5.0 };
    let y = y.min(BOTTOM - 6.0);
    let d = text::number((gap.reference - gap.current).abs());
    let _ = write!(
        svg,
        "<text class=\"{class}\" x=\"{at:.1}\" y=\"{y:.1}\">D = {d}</text>"
    );
}

fn bars(feature: &FeatureReport, shares: &[Share]) -> String {
    let name = text::shortened(&feature.name, 40);
    let mut label = format!("Shares of the categories of {name}, reference and current.");
    for share in shares {
        let [reference, current] = [share.reference, share.current].map(text::percent);
        let _ = write!(label, " {}: {reference}, {current}.", share.name);
    }
    let most = (shares.iter())
        .flat_map(|share| [share.reference, share.current])
        .fold(0.0, f64::max)
        .max(1e-9);
    let total = TOP + BAR_PITCH * shares.len() as f64 + 4.0;
    let mut svg = open(total, &label);
    legend(&mut svg, BARS_LEFT, |side, x| {
        format!("<rect class=\"bar {side}\" x=\"{x}\" y=\"6\" width=\"26\" height=\"{BAR}\"/>")
    });
    for (index, share) in shares.iter().enumerate() {
        let top = TOP + BAR_PITCH * index as f64 + 2.0;
        let (x, y) = (BARS_LEFT - 10.0, top + BAR + 5.0);
        let _ = write!(
            svg,
            "<text class=\"category end\" x=\"{x}\" y=\"{y}\"><title>{}</title>{}</text>",
            Escaped(&share.name),
            Escaped(&text::shortened(&share.name, 20)),
        );
        let sides = [("reference", share.reference), ("current", share.current)];
        for (row, (side, value)) in sides.into_iter().enumerate() {
            let y = top + (BAR + 2.0) * row as f64;
            let width = (value / most).clamp(0.0, 1.0) * (BARS_RIGHT - BARS_LEFT);
            let (x, text_y) = (BARS_LEFT + width + 7.0, y + 11.5);
            let _ = write!(
                svg,
                "<rect class=\"bar {side}\" x=\"{BARS_LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/>\
                 <text class=\"value\" x=\"{x:.1}\" y=\"{text_y}\">{}</text>",
                text::percent(value)
            );
        }
    }
    let _ = write!(
        svg,
        "<path class=\"base\" d=\"M{BARS_LEFT} {TOP}V{total}\"/></svg>"
    );
    svg
}

fn open(height: f64, label: &str) -> String {
    let label = Escaped(label);
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">"
    )
}

fn legend(svg: &mut String, left: f64, swatch: impl Fn(&str, f64) -> String) {
    for (side, x) in [("reference", left), ("current", left + 130.0)] {
        let text = x + 34.0;
        svg.push_str(&swatch(side, x));
        let _ = write!(
            svg,
            "<text class=\"legend\" x=\"{text}\" y=\"18\">{side}</text>"
        );
    }
}

/// A step line that starts at 0 on the left edge and ends at the right one.
fn steps(axis: &Axis, points: &[(f64, f64)]) -> String {
    let mut path = format!("M{LEFT} {BOTTOM}");
    for (value, share) in points {
        let _ = write!(path, "H{:.1}V{:.1}", across(axis, *value), height(*share));
    }
    let _ = write!(path, "H{RIGHT}");
    path
}

fn across(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.place(value) * (RIGHT - LEFT)
}

fn height(share: f64) -> f64 {
    BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
}
