//! The credential in a request's `Authorization` header (RFC 6750 §2.1). Nowhere else is one
//! looked for: not in the query, where logs and proxies see it, and not in cookies, which
//! browsers send unasked.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Longer credentials are refused unread; a JWT of ours takes about 400 bytes.
const LENGTH_MAX: usize = 1_024;

/// The header is there but holds no bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The bearer token, if the request has one.
pub fn token(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Two credentials: a proxy and the hub could each believe another one.
    if values.next().is_some() || value.len() > LENGTH_MAX {
        return Err(Malformed);
    }
    let text = value.to_str().map_err(|_| Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Malformed)?;
    let token = token.trim_matches(' ');
    let fits =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(is_token68);
    if fits {
        Ok(Some(token))
    } else {
        Err(Malformed)
    }
}

/// The characters of RFC 6750's `b64token`.
fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                AUTHORIZATION,
                HeaderValue::from_bytes(value).expect("a header value"),
            );
        }
        headers
    }

    #[test]
    fn only_one_well_formed_bearer_token_is_read() {
        assert_eq!(token(&headers(&[])), Ok(None));
        assert_eq!(
            token(&headers(&[b"Bearer abc.d-e_f"])),
            Ok(Some("abc.d-e_f"))
        );
        assert_eq!(token(&headers(&[b"bearer abc"])), Ok(Some("abc")));
        let giant = [b"Bearer ".as_slice(), &[b'a'; 2_000]].concat();
        for bad in [
            &[b"Bearer abc".as_slice(), b"Bearer abc"] as &[&[u8]],
            &[b"Basic YTpi"],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"Bearer a b"],
            &[b"Bearer a,b"],
            &[b"Bearer \xff"],
            &[b""],
            &[&giant],
        ] {
            assert_eq!(token(&headers(bad)), Err(Malformed));
        }
    }
}
