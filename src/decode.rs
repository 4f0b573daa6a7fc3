//! Bodies to rows: one exchange's request and response, read into the model's columns.
//!
//! A body is JSON, plain or compressed (`encoding`). `dialect::DIALECTS` lists the shapes that are understood, in
//! the order they are tried; a new one is a small file beside it. A dialect only says where rows and
//! answers stand; `frame` and `answer` check them against the model's columns.
//!
//! Invariant: pure and total. Any bytes give rows or a reason, never a panic; what is allocated is
//! bounded by the body's size, decompressed, [`MAX_ROWS`] and [`MAX_CELLS`]. It knows nothing of HTTP, SQL, clocks,
//! or of status codes: the caller decides which exchanges are worth decoding.

use crate::exchange::{CapturedBody, Ending, Exchange};
use crate::feature::Cell;
use crate::model::{Row, Schema};

mod answer;
mod body;
mod dialect;
mod encoding;
mod fault;
mod frame;
mod json;
mod layout;
mod lenient;

#[cfg(test)]
mod tests;

use fault::Fault;
use layout::Layout;

/// Rows read from one exchange at most: far above any batch a model server answers in time, and a
/// bound on what one body can cost the recorder.
pub const MAX_ROWS: usize = 100_000;

/// Cells read from one exchange at most (16 bytes each). Objects may name one column of many, so
/// the body's size alone does not bound them.
pub const MAX_CELLS: usize = 1_000_000;

/// Reads the exchanges of one model.
#[derive(Debug, Clone)]
pub struct Decoder {
    layout: Layout,
}

/// What one exchange held.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// One row for each prediction asked for, in the request's order; a cell for each column of
    /// the schema, features first. Absent features and unread outputs are [`Cell::Missing`].
    pub rows: Vec<Row>,
    /// Why the outputs of all rows are missing, where the response could not be read.
    pub response_problem: Option<String>,
}

/// What the bodies of one exchange were taken for, and what they gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The shape of the request, as an example of it; `None` where no known one was found.
    pub request: Option<&'static str>,
    /// The shape of the response.
    pub response: Option<&'static str>,
    /// What [`Decoder::exchange`] says.
    pub decoded: Result<Decoded, Undecodable>,
}

/// The shapes that were recognised on the way.
#[derive(Debug, Default)]
struct Shapes {
    request: Option<&'static str>,
    response: Option<&'static str>,
}

/// A request that gives no rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    /// What is wrong and what would be right, for people; at most a few hundred bytes, whatever
    /// the body. The words before the first value are the same for the same mistake.
    pub reason: String,
}

// === impl Decoder ===

impl Decoder {
    /// A decoder for the columns of `schema`.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self {
            layout: Layout::new(schema),
        }
    }

    /// The rows of `exchange`. A compressed body may grow to `max_body` bytes, no further. The
    /// response of an exchange that broke off is not read: half a number is another number.
    ///
    /// # Errors
    ///
    /// [`Undecodable`] where the request gives no rows. A response that cannot be read is no error:
    /// the features are worth keeping, and [`Decoded::response_problem`] says what was wrong.
    pub fn exchange(&self, exchange: &Exchange, max_body: usize) -> Result<Decoded, Undecodable> {
        self.read(exchange, max_body, &mut Shapes::default())
    }

    /// The rows of `exchange`, and what its bodies were taken for.
    #[must_use]
    pub fn explain(&self, exchange: &Exchange, max_body: usize) -> Explained {
        let mut shapes = Shapes::default();
        let decoded = self.read(exchange, max_body, &mut shapes);
        let Shapes { request, response } = shapes;
        Explained {
            request,
            response,
            decoded,
        }
    }

    fn read(
        &self,
        exchange: &Exchange,
        max_body: usize,
        shapes: &mut Shapes,
    ) -> Result<Decoded, Undecodable> {
        let rows = self.request(&exchange.request, max_body, shapes);
        let mut rows = rows.map_err(|fault| Undecodable {
            reason: fault.to_string(),
        })?;
        let response_problem = match exchange.ending {
            Ending::Complete => self
                .response(&exchange.response, max_body, &mut rows, shapes)
                .err()
                .map(|fault| format!("response: {fault}")),
            broken => Some(broken.reason().to_owned()),
        };
        Ok(Decoded {
            rows,
            response_problem,
        })
    }

    fn request(
        &self,
        body: &CapturedBody,
        max_body: usize,
        shapes: &mut Shapes,
    ) -> Result<Vec<Row>, Fault> {
        let bytes = body::plain(body, max_body)?;
        let body = body::parse(&bytes)?;
        let found = dialect::DIALECTS.iter().find_map(|dialect| {
            let frame = (dialect.request?)(&body, &self.layout)?;
            shapes.request = Some(dialect.request_example);
            Some(frame)
        });
        let frame = found.unwrap_or_else(|| Err(dialect::unknown_request(&body, &self.layout)))?;
        frame.rows(&self.layout)
    }

    /// Fills in the outputs of `rows`, all or none of them.
    fn response(
        &self,
        body: &CapturedBody,
        max_body: usize,
        rows: &mut [Row],
        shapes: &mut Shapes,
    ) -> Result<(), Fault> {
        let outputs = self.layout.outputs.len();
        if outputs == 0 {
            return Ok(());
        }
        let bytes = body::plain(body, max_body)?;
        let body = body::parse(&bytes)?;
        let found = dialect::DIALECTS.iter().find_map(|dialect| {
            let answers = (dialect.response?)(&body, &self.layout)?;
            shapes.response = Some(dialect.response_example);
            Some(answers)
        });
        let answers =
            found.unwrap_or_else(|| Err(dialect::unknown_response(&body, &self.layout)))?;
        let cells = answers.cells(rows.len(), &self.layout)?;
        for (row, answer) in rows.iter_mut().zip(cells.chunks_exact(outputs)) {
            row[self.layout.features.len()..].clone_from_slice(answer);
        }
        Ok(())
    }
}

// === impl Undecodable ===

impl Undecodable {
    /// For the caller that caught a panic of the decoder: a defect, and no fault of the body.
    #[must_use]
    pub fn internal() -> Self {
        Self {
            reason: "internal error while decoding: please report it".to_owned(),
        }
    }
}

/// A row of missing cells.
fn blank(layout: &Layout) -> Row {
    vec![Cell::Missing; layout.width()].into_boxed_slice()
}
