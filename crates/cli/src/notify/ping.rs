//! The ping of a health check: a service that raises an alarm if no run reports in time.
//!
//! The URL is a secret, so no message holds any part of it.

use std::env;
use std::fmt;
use std::time::Duration;

use reqwest::Url;

use crate::commands::verify;
use crate::config::PingSource;
use crate::credential;
use crate::failure::{Exit, Failure};

const TIMEOUT: Duration = Duration::from_secs(30);

impl PingSource {
    /// Requests the URL after a run that went well, and the URL with `/fail` after its path
    /// otherwise.
    ///
    /// # Errors
    ///
    /// Unless the answer is a success (HTTP 2xx). No redirect is followed.
    pub(super) async fn ping(&self, is_well: bool) -> Result<(), Failure> {
        self.ping_within(TIMEOUT, is_well).await
    }

    /// Checks that the URL can be read and requested, without a request.
    pub(crate) fn prove(&self) -> Result<(), Failure> {
        self.url().map(drop)
    }

    async fn ping_within(&self, timeout: Duration, is_well: bool) -> Result<(), Failure> {
        let mut url = self.url()?;
        if !is_well {
            let path = format!("{}/fail", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        let client = verify::http(verify::is_loopback(&url))
            .timeout(timeout)
            .build();
        let request = match client {
            Ok(client) => client.get(url).send().await,
            Err(error) => Err(error),
        };
        // The HTTP client's own words may name the host.
        let cause = match request {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => format!("the answer is HTTP {}", response.status().as_u16()),
            Err(error) if error.is_timeout() => "no answer came in time".to_owned(),
            Err(error) if error.is_connect() => "could not connect".to_owned(),
            Err(_) => "the request failed".to_owned(),
        };
        let failure = Failure::new(Exit::Unreachable, format!("could not ping {self}"));
        Err(failure.because(cause).next("check the URL and the network"))
    }

    /// Reads the URL, which may have been replaced since the last run.
    fn url(&self) -> Result<Url, Failure> {
        let failure = || {
            let next = match self {
                Self::File(_) => "put only an https URL into the file of ping_file",
                Self::Variable(_) => "put only an https URL into the variable of ping_env",
            };
            Failure::usage(format!("can't ping {self}")).next(next)
        };
        let text = match self {
            Self::File(path) => {
                // A pipe that nothing writes to would hold up the run.
                let is_file = std::fs::metadata(path).map(|metadata| metadata.is_file());
                match is_file {
                    Ok(true) => credential::read(path, true),
                    Ok(false) => Err(std::io::Error::other("it is not a regular file")),
                    Err(error) => Err(error),
                }
                .map_err(|error| failure().because(error))?
            }
            Self::Variable(name) => env::var(name)
                .map_err(|_| failure().because("the variable is not set"))?
                .into(),
        };
        let text = text.trim();
        if let Some(fault) = credential::fault(text) {
            return Err(failure().because(format!("it {fault}")));
        }
        match Url::parse(text) {
            Ok(url)
                if url.scheme() == "https"
                    || verify::is_loopback(&url) && url.scheme() == "http" =>
            {
                Ok(url)
            }
            _ => Err(failure().because("it is not an https URL")),
        }
    }
}

impl fmt::Display for PingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the URL in {}", path.display()),
            Self::Variable(name) => write!(f, "the URL in the variable {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use tempfile::NamedTempFile;

    use super::*;

    /// What nobody may read but the server.
    const SECRET: &str = "5ecret";

    fn file(text: &str) -> (NamedTempFile, PingSource) {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let source = PingSource::File(file.path().to_owned());
        (file, source)
    }

    /// Answers one request, and returns the origin and the request's first line.
    fn answering(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let line = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
            let first = lines.next().unwrap();
            assert!(lines.any(|line| line.is_empty()));
            connection.write_all(answer.as_bytes()).unwrap();
            first
        });
        (origin, line)
    }

    fn words(failure: Failure) -> String {
        let (line, next) = failure.in_one_line();
        let words = format!("{line} {}", next.unwrap_or_default());
        assert!(
            !words.contains(SECRET) && !words.contains("127.0.0.1"),
            "{words}"
        );
        words
    }

    #[tokio::test]
    async fn the_url_is_requested_as_health_checks_have_it() {
        for (path, is_well, requested) in [
            ("/5ecret", true, "/5ecret"),
            ("/5ecret", false, "/5ecret/fail"),
            ("/5ecret/\n", false, "/5ecret/fail"),
            ("/5ecret?create=1", false, "/5ecret/fail?create=1"),
        ] {
            let (origin, line) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            let (_file, source) = file(&format!("{origin}{path}"));
            source.ping(is_well).await.unwrap();
            let line = tokio::task::spawn_blocking(|| line.join().unwrap());
            assert_eq!(line.await.unwrap(), format!("GET {requested} HTTP/1.1"));
        }
    }

    #[tokio::test]
    async fn another_answer_is_a_failure_and_no_redirect_is_followed() {
        for (answer, named) in [
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                "HTTP 404",
            ),
            (
                "HTTP/1.1 302 Found\r\nlocation: /5ecret/elsewhere\r\ncontent-length: 0\r\n\r\n",
                "HTTP 302",
            ),
            ("nonsense\r\n\r\n", "the request failed"),
        ] {
            let (origin, _) = answering(answer);
            let (_file, source) = file(&format!("{origin}/{SECRET}"));
            let failure = words(source.ping(true).await.unwrap_err());
            assert!(failure.contains(named), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_file, source) = file(&format!(
            "http://{}/{SECRET}",
            listener.local_addr().unwrap()
        ));
        let silent = source.ping_within(Duration::from_millis(20), true).await;
        assert!(words(silent.unwrap_err()).contains("in time"));
        drop(listener);
        let refused = source.ping(true).await.unwrap_err();
        assert!(words(refused).contains("could not connect"));
    }

    #[test]
    fn a_url_that_can_not_be_used_is_not_shown() {
        for (text, named) in [
            ("", "empty"),
            ("http://example.com/5ecret", "not an https URL"),
            ("ftp://127.0.0.1/5ecret", "not an https URL"),
            ("5ecret", "not an https URL"),
            ("https://example.com/5ecret\nhttps://b", "line break"),
            ("URL=https://example.com/5ecret", "variable's name"),
        ] {
            let (_file, source) = file(text);
            let failure = words(source.url().unwrap_err());
            assert!(failure.contains(named), "{failure}");
        }
        let (_file, source) = file("https://example.com/5ecret\n");
        assert_eq!(source.url().unwrap().path(), "/5ecret");
        let (file, source) = self::file("");
        drop(file);
        assert!(words(source.url().unwrap_err()).contains("No such file"));
        let source = PingSource::File("/dev/null".into());
        assert!(words(source.url().unwrap_err()).contains("not a regular file"));
        let unset = PingSource::Variable("CF_SERVICE_TOKENS_UNSET".to_owned());
        let failure = words(unset.url().unwrap_err());
        assert!(
            failure.contains("variable CF_SERVICE_TOKENS_UNSET"),
            "{failure}"
        );
    }
}
