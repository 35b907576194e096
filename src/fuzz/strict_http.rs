//! A strict reader of HTTP/1.1 messages (RFC 9112). Whatever it accepts, all readers understand in
//! the same way.

/// The start line and the fields of a message, the names in lower case.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) start: String,
    pub(super) fields: Vec<(String, String)>,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

impl Head {
    /// Reads a head and its length. `None` if more bytes belong to it.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let text: String = bytes.iter().take(end).copied().map(char::from).collect();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        if !start.chars().all(|char| matches!(char, ' '..='~')) {
            return Err(format!("the start line {start:?}"));
        }
        let fields: Option<Vec<_>> = lines.map(field).collect();
        let fields = fields.ok_or_else(|| format!("a field of {text:?}"))?;
        Ok(Some((Head { start, fields }, end + 4)))
    }

    /// All values of a field.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The one framing of the message, `None` without any.
    pub(super) fn framing(&self) -> Result<Option<Framing>, String> {
        match (self.values("content-length").as_slice(), self.values("transfer-encoding").as_slice()) {
            ([], []) => Ok(None),
            ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
            ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                let length = length.parse().map_err(|_| format!("the length {length:?}"))?;
                Ok(Some(Framing::Length(length)))
            }
            other => Err(format!("the framing {other:?}")),
        }
    }
}

impl Framing {
    /// The number of bytes that the body takes. `None` if more belong to it.
    pub(super) fn length(self, bytes: &[u8]) -> Result<Option<usize>, String> {
        match self {
            Self::Length(length) => Ok((bytes.len() >= length).then_some(length)),
            Self::UntilClose => Ok(Some(bytes.len())),
            Self::Chunked => chunks(bytes),
        }
    }
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let is_token = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    let is_text = |char: char| char == '\t' || !char.is_ascii_control();
    let value = value.strip_prefix(' ').unwrap_or(value);
    let is_good = !name.is_empty() && name.chars().all(is_token) && value.chars().all(is_text);
    (is_good && value.trim_matches([' ', '\t']) == value)
        .then(|| (name.to_ascii_lowercase(), value.to_owned()))
}

/// RFC 9112 section 7.1, without extensions and trailers.
fn chunks(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = rest.get(..end).and_then(|size| str::from_utf8(size).ok()).unwrap_or("?");
        let is_hex = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| is_hex);
        let size = size.ok_or_else(|| format!("a chunk in {}", bytes.escape_ascii()))?;
        let Some(after) = rest.get(end + 2 + size..end + 4 + size) else { return Ok(None) };
        if after != b"\r\n" {
            return Err(format!("the end of a chunk in {}", bytes.escape_ascii()));
        }
        at += end + 4 + size;
        if size == 0 {
            return Ok(Some(at));
        }
    }
}
