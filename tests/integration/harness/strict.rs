//! HTTP/1.1 as a strict registry reads it: one canonical spelling; everything else is the sender's
//! fault.

/// A canonical request head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Empty,
    Length(u64),
    Chunked,
}

/// Parses the head in `bytes`, which end with its empty line. `Err` names the fault. Values are
/// read as Latin-1.
pub fn head(bytes: &[u8]) -> Result<Head, String> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let text = text.strip_suffix("\r\n\r\n").ok_or("a head without its empty line")?;
    let mut lines = text.split("\r\n");
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let headers = lines.map(field).collect::<Result<Vec<_>, _>>()?;
    let framing = framing(&headers)?;
    match values(&headers, "host").as_slice() {
        [host] if !host.is_empty() => {}
        hosts => return Err(format!("Host fields: {hosts:?}")),
    }
    Ok(Head { method, target, headers, framing })
}

/// Parses the size in the first line of a chunk, without its line end.
pub fn chunk_size(line: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(line);
    let canonical = !text.is_empty()
        && text.len() <= 8
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (text == "0" || !text.starts_with('0'));
    let size = usize::from_str_radix(&text, 16).ok().filter(|_| canonical);
    size.ok_or_else(|| format!("chunk size line {text:?}"))
}

/// All values of a field, in order.
pub fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers
        .iter()
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}

fn request_line(line: &str) -> Result<(String, String), String> {
    let fault = || format!("request line {line:?}");
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else { return Err(fault()) };
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method);
    let printable = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !known || !printable || !target.is_ascii() || !target.starts_with('/') {
        return Err(fault());
    }
    Ok((method.to_owned(), target.to_owned()))
}

fn field(line: &str) -> Result<(String, String), String> {
    let fault = || format!("field line {line:?}");
    let (name, value) = line.split_once(':').ok_or_else(fault)?;
    let value = value.strip_prefix(' ').or((value.is_empty()).then_some("")).ok_or_else(fault)?;
    let token = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    let text = |char: char| char == '\t' || (char >= ' ' && char != '\x7f');
    if name.is_empty()
        || !name.chars().all(token)
        || !value.chars().all(text)
        || value.trim_matches([' ', '\t']) != value
    {
        return Err(fault());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn framing(headers: &[(String, String)]) -> Result<Framing, String> {
    let lengths = values(headers, "content-length");
    let codings = values(headers, "transfer-encoding");
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(Framing::Empty),
        ([], ["chunked"]) => Ok(Framing::Chunked),
        ([length], []) => {
            let number = length.parse::<u64>().ok().filter(|number| number.to_string() == *length);
            number.map(Framing::Length).ok_or_else(|| format!("Content-Length {length:?}"))
        }
        _ => Err(format!("framing: Content-Length {lengths:?}, Transfer-Encoding {codings:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> bool {
        head(text.as_bytes()).is_err()
    }

    #[test]
    fn canonical_heads_are_read() {
        let read =
            head(b"PUT /v2/x?a=b HTTP/1.1\r\nHost: a\r\nX: \r\nx: caf\xe9\r\nContent-Length: 5\r\n\r\n")
                .unwrap();
        assert_eq!((read.method.as_str(), read.target.as_str()), ("PUT", "/v2/x?a=b"));
        assert_eq!(read.framing, Framing::Length(5));
        assert_eq!(values(&read.headers, "X"), ["", "caf\u{e9}"]);
    }

    #[test]
    fn every_other_spelling_is_a_fault() {
        assert!(fault("GET  /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(fault("GET /v2/ HTTP/1.0\r\nHost: a\r\n\r\n"));
        assert!(fault("GET v2 HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(fault("GET /v2/#f HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(fault("GET /v2/\u{ff} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(fault("TRACE /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(fault("GET /v2/ HTTP/1.1\r\n\r\n"));
        assert!(fault("GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"));
        assert!(fault("GET /v2/ HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n"));
        assert!(fault("GET /v2/ HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n"));
        assert!(fault("GET /v2/ HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"));
        assert!(fault("GET /v2/ HTTP/1.1\r\nHost: a\r\nX: a \r\n\r\n"));
        assert!(fault("PUT /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\n"));
        assert!(fault("PUT /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"));
        assert!(fault(
            "PUT /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        assert!(fault("PUT /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"));
    }

    #[test]
    fn chunk_sizes_have_one_spelling() {
        assert_eq!(chunk_size(b"1F"), Ok(31));
        assert_eq!(chunk_size(b"0"), Ok(0));
        for odd in [&b""[..], b"01", b"5;a", b" 5", b"5g", b"-5", b"FFFFFFFFF"] {
            assert!(chunk_size(odd).is_err(), "{odd:?}");
        }
    }
}
