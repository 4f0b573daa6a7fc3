//! A column's statistic against its threshold, over its last decisions: as a sparkline in its line,
//! and as a picture with what happened meanwhile.

use std::fmt::Write;

use crate::drift::history::{Event, Happened, Line, Point, is_drawn, single};
use crate::drift::report::{FeatureReport, State, Test};
use crate::timestamp::Timestamp;

use super::text::{self, Escaped};
use super::timeline::Reach;

/// Size of a sparkline in its own units; it is stretched to the room there is.
const SPARK: (f64, f64) = (120.0, 28.0);

/// The picture and the plot within it, in the units of the other pictures.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 206.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 508.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 172.0;

/// How close labels may come to each other.
const LABEL: f64 = 140.0;

/// How close figures beside the axis may come to each other.
const FIGURE: f64 = 13.0;

/// Decisions in the table below the picture.
const TOLD: usize = 8;

/// A column's points with their scales.
#[derive(Debug)]
pub(super) struct Course<'a> {
    name: &'a str,
    points: Vec<Point>,
    reach: Reach,
    /// The largest of all statistics and thresholds, with a margin.
    top: f64,
}

/// What a test's statistic is called.
pub(super) const fn symbol(test: Test) -> &'static str {
    match test {
        Test::Ks => "D",
        Test::Chi2 => "χ²",
        _ => "statistic",
    }
}

// === impl Course ===

impl<'a> Course<'a> {
    /// The decisions about a column, and what was measured since the last; `None` where there is no
    /// figure at all.
    pub(super) fn new(
        feature: &'a FeatureReport,
        line: Option<&Line>,
        checked_at: Option<Timestamp>,
        reach: Reach,
    ) -> Option<Self> {
        let mut points: Vec<Point> = line.into_iter().flat_map(Line::points).copied().collect();
        let current = feature.main().filter(|check| is_drawn(check.test));
        if let (Some(check), Some(time)) = (current, checked_at)
            && points.last().is_none_or(|last| last.time < time)
        {
            points.push(Point {
                time,
                test: check.test,
                drifted: feature.drifted,
                accepted: feature.state == State::Accepted,
                statistic: check.statistic.map(single),
                threshold: check.threshold.map(single),
            });
        }
        // Figures of another test are on another scale.
        let test = points.last().map(|point| point.test);
        points.retain(|point| Some(point.test) == test);
        for point in &mut points {
            point.statistic = point.statistic.filter(|figure| figure.is_finite());
            point.threshold = point.threshold.filter(|figure| figure.is_finite());
        }
        let figures = points.iter().flat_map(|p| [p.statistic, p.threshold]);
        let largest = figures.flatten().fold(0.0, f32::max);
        points
            .iter()
            .any(|point| point.statistic.is_some())
            .then(|| Self {
                name: &feature.name,
                points,
                reach,
                top: f64::from(largest).max(1e-9) * 1.12,
            })
    }

    /// The small picture: its title says what it shows.
    pub(super) fn sparkline(&self) -> String {
        let (width, height) = SPARK;
        let plot = Plot {
            left: 3.0,
            right: width - 3.0,
            top: 2.0,
            bottom: height - 3.0,
        };
        let title = self.title();
        let [threshold, line] = self.paths(plot);
        let dot = self.last().map_or_else(String::new, |(point, y)| {
            let (x, y) = (plot.x(self.reach.place(point.time)), plot.y(y / self.top));
            format!("<path class=\"dot\" d=\"M{x:.1} {y:.1}h0\"/>")
        });
        format!(
            "<svg class=\"spark\" viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" \
             role=\"img\" aria-label=\"{title}\"><title>{title}</title>\
             <path class=\"limit\" d=\"{threshold}\"/><path class=\"course\" d=\"{line}\"/>{dot}</svg>"
        )
    }

    /// The large picture with `events`, and the newest decisions as a table, `id` on the page.
    pub(super) fn picture(&self, events: &[Event], id: &str) -> String {
        let plot = Plot {
            left: LEFT,
            right: RIGHT,
            top: TOP,
            bottom: BOTTOM,
        };
        let title = self.title();
        let mut html = format!(
            "<figure><figcaption>Over time</figcaption><svg class=\"chart over-time\" \
             viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        );
        let _ = write!(
            html,
            "<path class=\"base\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>"
        );
        self.marks(&mut html, plot, events);
        let [threshold, line] = self.paths(plot);
        let _ = write!(
            html,
            "<path class=\"limit\" d=\"{threshold}\"/><path class=\"course\" d=\"{line}\"/>"
        );
        self.labels(&mut html, plot);
        html.push_str("</svg></figure>");
        self.table(&mut html, id);
        html
    }

    /// What both pictures show, in a sentence; escaped.
    fn title(&self) -> String {
        let figures = || self.points.iter().filter_map(|point| point.statistic);
        let (first, last) = (figures().next(), figures().next_back());
        let number = |figure: Option<f32>| figure.map_or_else(String::new, shown);
        let test = self.points.last().map_or(Test::Ks, |point| point.test);
        let threshold = self.points.iter().rev().find_map(|point| point.threshold);
        let threshold = threshold.map_or_else(String::new, |threshold| {
            format!("; drift begins at {}", shown(threshold))
        });
        let course = match self.points.len() {
            1 => number(last),
            n => format!("from {} to {} over {n} checks", number(first), number(last)),
        };
        let name = text::shortened(self.name, 40);
        format!("{} of {} {course}{threshold}", symbol(test), Escaped(&name))
    }

    /// Threshold and statistic as path data. Where a check has no figure, the line has a gap.
    fn paths(&self, plot: Plot) -> [String; 2] {
        let path = |figure: fn(&Point) -> Option<f32>| {
            let mut path = String::new();
            let mut begun = false;
            for point in &self.points {
                let Some(value) = figure(point) else {
                    begun = false;
                    continue;
                };
                let x = plot.x(self.reach.place(point.time));
                let y = plot.y(f64::from(value) / self.top);
                // The second half makes a lone point visible: line caps are round.
                let _ = match begun {
                    true => write!(path, "L{x:.1} {y:.1}"),
                    false => write!(path, "M{x:.1} {y:.1}h0"),
                };
                begun = true;
            }
            path
        };
        [path(|point| point.threshold), path(|point| point.statistic)]
    }

    fn last(&self) -> Option<(&Point, f64)> {
        let last = self.points.iter().rev().find(|p| p.statistic.is_some())?;
        Some((last, f64::from(last.statistic?)))
    }

    fn is_among(&self, columns: &[String]) -> bool {
        columns.iter().any(|column| column == self.name)
    }

    /// Vertical lines where something happened that concerns the column.
    fn marks(&self, html: &mut String, plot: Plot, events: &[Event]) {
        // Where two labels would lie upon each other, the later one tells more.
        let mut labelled = f64::INFINITY;
        let events = events.iter().rev();
        for event in events.filter(|event| self.reach.holds(event.time)) {
            let label = match &event.what {
                Happened::Reference {
                    previous_version: Some(_),
                    version,
                    ..
                } => format!("version {version}"),
                Happened::Reference { .. } => "reference".to_owned(),
                Happened::Accepted { columns, .. } if self.is_among(columns) => {
                    "accepted".to_owned()
                }
                Happened::AcceptanceEnded { columns, .. } if self.is_among(columns) => {
                    "acceptance ended".to_owned()
                }
                Happened::Gap { .. } => "gap".to_owned(),
                _ => continue,
            };
            let x = plot.x(self.reach.place(event.time));
            let (top, bottom) = (plot.top - 6.0, plot.bottom);
            let _ = write!(html, "<path class=\"event\" d=\"M{x:.1} {top}V{bottom}\"/>");
            if labelled - x < LABEL {
                continue;
            }
            labelled = x;
            let class = match x {
                x if x < plot.left + 60.0 => "",
                x if x > plot.right - 60.0 => " end",
                _ => " mid",
            };
            let label = text::shortened(&label, 20);
            let label = Escaped(&label);
            let y = plot.top - 11.0;
            let _ = write!(
                html,
                "<text class=\"tick{class}\" x=\"{x:.1}\" y=\"{y}\">{label}</text>"
            );
        }
    }

    /// The threshold's figure, the last figure where there is room, and both ends of the time axis.
    fn labels(&self, html: &mut String, plot: Plot) {
        let at = |value: f64| plot.y(value / self.top);
        let end = plot.left - 6.0;
        let mut taken = Vec::new();
        let mut figure = |html: &mut String, value: f64, class: &str| {
            let y = at(value) + 4.0;
            if taken.iter().all(|other: &f64| (other - y).abs() > FIGURE) {
                taken.push(y);
                let written = text::number(rounded(value));
                let _ = write!(
                    html,
                    "<text class=\"tick end{class}\" x=\"{end}\" y=\"{y:.1}\">{written}</text>"
                );
            }
        };
        let threshold = self.points.iter().rev().find_map(|point| point.threshold);
        if let Some(threshold) = threshold.map(f64::from) {
            figure(html, threshold, " strong");
            // On the side of the line the statistic is not on, where the label does not hide it.
            let above = self.last().is_some_and(|(_, value)| value > threshold);
            let beside = if above && at(threshold) + 16.0 < plot.bottom {
                15.0
            } else {
                -5.0
            };
            let (x, y) = (plot.left + 4.0, at(threshold) + beside);
            let _ = write!(
                html,
                "<text class=\"tick\" x=\"{x}\" y=\"{y:.1}\">drift begins</text>"
            );
        }
        if let Some((point, value)) = self.last() {
            figure(html, value, "");
            let (x, y) = (plot.x(self.reach.place(point.time)), at(value));
            let _ = write!(html, "<path class=\"dot\" d=\"M{x:.1} {y:.1}h0\"/>");
        }
        figure(html, 0.0, "");
        let y = plot.bottom + 20.0;
        let [from, to] = self.reach.ends();
        let (left, right) = (plot.left, plot.right);
        let _ = write!(
            html,
            "<text class=\"tick\" x=\"{left}\" y=\"{y}\">{from}</text>\
             <text class=\"tick end\" x=\"{right}\" y=\"{y}\">{to}</text>"
        );
    }

    fn table(&self, html: &mut String, id: &str) {
        let test = self.points.last().map_or(Test::Ks, |point| point.test);
        let _ = write!(
            html,
            "<details class=\"more\" id=\"{id}\"><summary>The last checks as a table</summary><table class=\"course\">\
             <caption class=\"hidden\">The last checks of {}</caption><thead><tr>\
             <th scope=\"col\">Time (UTC)</th><th scope=\"col\">{}</th>\
             <th scope=\"col\">Threshold</th><th scope=\"col\">Says</th></tr></thead><tbody>",
            Escaped(self.name),
            symbol(test)
        );
        for point in self.points.iter().rev().take(TOLD) {
            let figure = |figure: Option<f32>| figure.map_or_else(|| "–".to_owned(), shown);
            let says = match point.drifted {
                _ if point.accepted => "accepted",
                Some(true) => "drifted",
                Some(false) => "no drift",
                None => "no verdict",
            };
            let _ = write!(
                html,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{says}</td></tr>",
                text::moment(point.time),
                figure(point.statistic),
                figure(point.threshold),
            );
        }
        html.push_str("</tbody></table></details>");
    }
}

/// Three significant digits at most: what fits beside an axis.
fn rounded(value: f64) -> f64 {
    if value > 0.0 {
        let scale = 10_f64.powf(2.0 - value.log10().floor());
        (value * scale).round() / scale
    } else {
        value
    }
}

fn shown(figure: f32) -> String {
    text::number(f64::from(figure))
}

/// Where a picture's plot lies.
#[derive(Debug, Clone, Copy)]
struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

// === impl Plot ===

impl Plot {
    fn x(self, share: f64) -> f64 {
        self.left + share * (self.right - self.left)
    }

    fn y(self, share: f64) -> f64 {
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::sample;
    use super::*;

    fn point(seconds: i64, statistic: Option<f32>) -> Point {
        Point {
            time: Timestamp(seconds * 1000),
            test: Test::Ks,
            drifted: Some(statistic > Some(0.2)),
            accepted: false,
            statistic,
            threshold: Some(0.2),
        }
    }

    fn course<'a>(feature: &'a FeatureReport, points: &[Point]) -> Course<'a> {
        let line = Line::new(points.iter().copied());
        let (first, last) = (points[0].time, points[points.len() - 1].time);
        Course::new(feature, Some(&line), None, Reach::new(first, last)).unwrap()
    }

    /// The points of path data, each `M` a new line.
    fn lines(path: &str) -> Vec<Vec<(f64, f64)>> {
        let mut lines: Vec<Vec<(f64, f64)>> = Vec::new();
        for part in path
            .split_inclusive(['M', 'L'])
            .collect::<Vec<_>>()
            .windows(2)
        {
            let pair = part[1].trim_end_matches(['M', 'L']).replace("h0", "");
            let (x, y) = pair.split_once(' ').unwrap();
            if part[0].ends_with('M') {
                lines.push(Vec::new());
            }
            let point = (x.parse().unwrap(), y.parse().unwrap());
            lines.last_mut().unwrap().push(point);
        }
        lines
    }

    const PLOT: Plot = Plot {
        left: 0.0,
        right: 100.0,
        top: 0.0,
        bottom: 112.0,
    };

    #[test]
    fn points_stand_at_their_time_and_height_and_a_missing_figure_is_a_gap() {
        let feature = sample::numeric("x", 0.0);
        let figures = [Some(0.0), Some(0.1), None, Some(0.4), None, Some(0.4)];
        let times = [0, 10, 20, 40, 80, 100];
        let points: Vec<Point> = times
            .into_iter()
            .zip(figures)
            .map(|(t, f)| point(t, f))
            .collect();
        let [threshold, line] = course(&feature, &points).paths(PLOT);
        // The largest, 0.4, is at 1/1.12 of the height: 112 units are 0.448.
        assert_eq!(
            lines(&line),
            [
                vec![(0.0, 112.0), (10.0, 87.0)],
                vec![(40.0, 12.0)],
                vec![(100.0, 12.0)]
            ]
        );
        let level = times.map(|x| (x as f64, 62.0)).to_vec();
        assert_eq!(lines(&threshold), [level]);
    }

    #[test]
    fn what_was_measured_since_the_last_decision_is_the_last_point() {
        let feature = sample::numeric("x", 0.5);
        let line = Line::new([point(0, Some(0.1))]);
        let reach = Reach::new(Timestamp(0), Timestamp(10_000));
        let at = |seconds: i64| {
            let checked = Some(Timestamp(seconds * 1000));
            let course = Course::new(&feature, Some(&line), checked, reach).unwrap();
            course.points.len()
        };
        assert_eq!((at(0), at(10)), (1, 2));
        assert!(Course::new(&feature, None, None, reach).is_none());
    }

    #[test]
    fn odd_figures_draw_no_odd_paths() {
        let feature = sample::numeric("x", 0.0);
        for figure in [f32::NAN, f32::INFINITY, 0.0, 1e-40, f32::MAX] {
            let points = [point(4, Some(0.5)), point(5, Some(figure))];
            let course = course(&feature, &points);
            for html in [course.sparkline(), course.picture(&[], "x")] {
                let svg = html.split("</svg>").next().unwrap();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn figures_of_another_test_are_not_on_the_same_scale() {
        let feature = sample::numeric("x", 0.0);
        let chi2 = |seconds| Point {
            test: Test::Chi2,
            threshold: Some(31.4),
            ..point(seconds, Some(214.0))
        };
        let points = [chi2(0), chi2(1), point(2, Some(0.1)), point(3, Some(0.3))];
        let course = course(&feature, &points);
        assert_eq!(
            course.title(),
            "D of x from 0.1 to 0.3 over 2 checks; drift begins at 0.2"
        );
        assert!(course.top < 1.0, "{}", course.top);
        assert!(!course.picture(&[], "x").contains("214"));
    }
}
