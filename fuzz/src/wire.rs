//! HTTP/1.1 read as strictly as RFC 9112 allows: what a message of ours must look like to the
//! pickiest of its readers. Anything else is an error, not a matter of taste.

/// One message, or what there is of it.
#[derive(Debug)]
pub struct Message<'a> {
    /// The first line.
    pub start: &'a [u8],
    /// Header lines: names in lower case, values without the white space around them.
    pub headers: Vec<(String, &'a [u8])>,
    /// Header lines behind a chunked body.
    pub trailers: Vec<(String, &'a [u8])>,
    /// Whether all of its body is there.
    pub complete: bool,
    /// What comes behind it.
    pub rest: &'a [u8],
}

impl Message<'_> {
    /// The values of the header `name`.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let found = self.headers.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| *value).collect()
    }

    /// Whether there is a header `name`.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known == name)
    }
}

/// The head of the message that `bytes` begin with: `Ok(None)` where it is not all there. `rest` is
/// what comes behind the head.
///
/// # Errors
///
/// What is wrong with it.
pub fn head(bytes: &[u8]) -> Result<Option<Message<'_>>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (text, rest) = (&bytes[..end], &bytes[end + 4..]);
    let mut lines = lines(text)?.into_iter();
    let start = lines.next().unwrap_or_default();
    let headers = lines.map(field).collect::<Result<_, _>>()?;
    Ok(Some(Message {
        start,
        headers,
        trailers: Vec::new(),
        complete: true,
        rest,
    }))
}

/// The request that `bytes` begin with: `Ok(None)` where its head is not all there.
///
/// # Errors
///
/// What is wrong with it.
pub fn request(bytes: &[u8]) -> Result<Option<Message<'_>>, String> {
    let Some(mut message) = head(bytes)? else {
        return Ok(None);
    };
    let codings = message.values("transfer-encoding").len();
    let lengths = message.values("content-length");
    match (codings, lengths.as_slice()) {
        (0, []) => {}
        (0, [length]) => {
            let length = decimal(length)?;
            message.complete = message.rest.len() >= length;
            message.rest = &message.rest[length.min(message.rest.len())..];
        }
        (1, []) => {
            if message.values("transfer-encoding") != [b"chunked"] {
                return Err("a transfer-encoding that is not chunked".to_owned());
            }
            chunked(&mut message)?;
        }
        (_, _) => return Err(format!("{codings} codings, {} lengths", lengths.len())),
    }
    Ok(Some(message))
}

/// Passes over a chunked body.
fn chunked(message: &mut Message<'_>) -> Result<(), String> {
    loop {
        let Some(end) = message.rest.windows(2).position(|two| two == b"\r\n") else {
            message.complete = false;
            message.rest = &[];
            return Ok(());
        };
        let (size, behind) = (&message.rest[..end], &message.rest[end + 2..]);
        let digits = std::str::from_utf8(size).map_err(|error| error.to_string())?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("a chunk of {digits:?} bytes"));
        }
        let size = usize::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
        if size == 0 {
            return trailers(message, behind);
        }
        let Some(after) = behind.get(size..size + 2) else {
            message.complete = false;
            message.rest = &[];
            return Ok(());
        };
        if after != b"\r\n" {
            return Err(format!("a chunk of {size} bytes ends with {after:?}"));
        }
        message.rest = &behind[size + 2..];
    }
}

fn trailers<'a>(message: &mut Message<'a>, behind: &'a [u8]) -> Result<(), String> {
    let mut rest = behind;
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            message.complete = false;
            message.rest = &[];
            return Ok(());
        };
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        if line.is_empty() {
            message.rest = after;
            return Ok(());
        }
        message.trailers.push(field(line)?);
        rest = after;
    }
}

/// The lines of a head, which end with CR LF; neither of the two stands elsewhere.
fn lines(text: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n");
        let line = &rest[..end.unwrap_or(rest.len())];
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(format!("a bare CR, LF or NUL in {:?}", line.escape_ascii()));
        }
        lines.push(line);
        match end {
            Some(end) => rest = &rest[end + 2..],
            None => return Ok(lines),
        }
    }
}

fn field(line: &[u8]) -> Result<(String, &[u8]), String> {
    let colon = line.iter().position(|byte| *byte == b':');
    let colon =
        colon.ok_or_else(|| format!("no colon in {:?}", line.escape_ascii().to_string()))?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(format!(
            "a header named {:?}",
            name.escape_ascii().to_string()
        ));
    }
    if value
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(format!(
            "a header's value {:?}",
            value.escape_ascii().to_string()
        ));
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((name, value))
}

/// Whether `byte` may stand in a token (RFC 9110, 5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn decimal(digits: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(digits);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("a length of {text:?}"));
    }
    // A length beyond what can be held is never complete.
    Ok(text.parse().unwrap_or(usize::MAX))
}
