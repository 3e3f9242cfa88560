//! As much of a browser as sign-in pages need: cookies per host and port, redirects, forms.

use std::collections::BTreeMap;

use reqwest::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, StatusCode, redirect};
use url::Url;

/// A browser with a cookie jar and the page it is on.
pub struct Browser {
    client: Client,
    /// By host and port, then by name. The scheme and the path do not matter to these tests.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// What the browser shows.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub html: String,
}

impl Browser {
    pub fn new() -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).build();
        Self {
            client: client.expect("a client"),
            cookies: BTreeMap::new(),
        }
    }

    /// Opens a page and follows redirects.
    pub async fn open(&mut self, url: &str) -> Page {
        let page = self.step(Method::GET, url, None).await;
        self.follow(page).await
    }

    /// Opens a page; a redirect stays unfollowed.
    pub async fn open_once(&mut self, url: &str) -> Page {
        self.step(Method::GET, url, None).await
    }

    /// Sends fields to an address and follows redirects.
    pub async fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.step(Method::POST, url, Some(fields)).await;
        self.follow(page).await
    }

    /// Sends fields to an address; a redirect stays unfollowed.
    pub async fn post_once(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        self.step(Method::POST, url, Some(fields)).await
    }

    /// Sends the page's first form with `changes` to its fields, and follows redirects.
    pub async fn submit(&mut self, page: &Page, changes: &[(&str, &str)]) -> Page {
        let (action, mut fields) = page.form();
        for (name, value) in changes {
            fields.insert((*name).to_owned(), (*value).to_owned());
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        self.post(&action, &fields).await
    }

    /// The value of a cookie that this browser would send to `url`.
    pub fn cookie(&self, url: &str, name: &str) -> Option<&str> {
        self.cookies
            .get(&place(&Url::parse(url).expect("a URL")))?
            .get(name)
            .map(String::as_str)
    }

    pub fn set_cookie(&mut self, url: &str, name: &str, value: &str) {
        let jar = self
            .cookies
            .entry(place(&Url::parse(url).expect("a URL")))
            .or_default();
        jar.insert(name.to_owned(), value.to_owned());
    }

    async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..20 {
            let Some(target) = page.redirect() else {
                return page;
            };
            page = self.step(Method::GET, target.as_str(), None).await;
        }
        panic!("too many redirects, last {}", page.url);
    }

    async fn step(&mut self, method: Method, url: &str, fields: Option<&[(&str, &str)]>) -> Page {
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{error}: {url}"));
        let mut request = self
            .client
            .request(method, url.clone())
            .header(ACCEPT, "text/html,*/*");
        if let Some(jar) = self.cookies.get(&place(&url)) {
            let pairs: Vec<_> = jar
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        if let Some(fields) = fields {
            request = request.form(fields);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all(SET_COOKIE) {
            self.keep(&url, cookie.to_str().expect("text"));
        }
        let html = response.text().await.expect("text");
        Page {
            url,
            status,
            headers,
            html,
        }
    }

    fn keep(&mut self, url: &Url, set_cookie: &str) {
        let jar = self.cookies.entry(place(url)).or_default();
        let mut parts = set_cookie.split(';').map(str::trim);
        let (name, value) = parts
            .next()
            .and_then(|pair| pair.split_once('='))
            .expect("a cookie");
        let is_gone = value.is_empty()
            || parts
                .any(|part| part.eq_ignore_ascii_case("max-age=0") || part.contains("01 Jan 1970"));
        if is_gone {
            jar.remove(name);
        } else {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Page {
    /// Where it redirects to, if it does.
    pub fn redirect(&self) -> Option<Url> {
        let location = self.headers.get(LOCATION)?.to_str().expect("text");
        self.status
            .is_redirection()
            .then(|| self.url.join(location).expect("a URL"))
    }

    /// The first form: where it goes, and its fields.
    pub fn form(&self) -> (String, BTreeMap<String, String>) {
        let (_, rest) = self
            .html
            .split_once("<form")
            .unwrap_or_else(|| panic!("no form: {}", self.html));
        let (form, _) = rest.split_once("</form>").expect("the form ends");
        let (head, body) = form.split_once('>').expect("the tag ends");
        let action = self
            .url
            .join(&attribute(head, "action").unwrap_or_default());
        let inputs = body
            .split("<input")
            .skip(1)
            .filter_map(|input| input.split('>').next());
        let fields = inputs.filter_map(|input| {
            Some((
                attribute(input, "name")?,
                attribute(input, "value").unwrap_or_default(),
            ))
        });
        (action.expect("a URL").into(), fields.collect())
    }

    /// Fails unless the page shows this.
    #[track_caller]
    pub fn assert_shows(&self, status: u16, text: &str) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{} {}", self.url, self.html);
        assert!(self.html.contains(text), "no «{text}» on {}", self.html);
        self
    }
}

fn place(url: &Url) -> String {
    format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or(0)
    )
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    Some(rest.split('"').next()?.to_owned())
}
