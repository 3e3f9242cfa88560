//! The connection on which requests, or replies, come.

use std::convert::Infallible;
use std::io;

use tokio::sync::mpsc::WeakUnboundedSender;

use super::{ASK_EVERY, Again, Hear, Publication, SILENT_WITHIN};
use crate::zmtp::{Connection, Endpoint, Heart, Item, Outgoing, Role, answer, put_wish};

pub(super) struct Subscriber {
    pub endpoint: Endpoint,
    pub topics: Vec<Vec<u8>>,
    pub hear: Hear,
    /// For what there is to say to a message. Does not keep the link open.
    pub publications: WeakUnboundedSender<Publication>,
}

impl Subscriber {
    /// Goes on until it is aborted.
    pub(super) async fn run(mut self) {
        let mut again = Again::new();
        loop {
            match Connection::to(&self.endpoint, Role::Subscriber).await {
                Ok(connection) => {
                    again = Again::new();
                    let Err(error) = self.listen(connection).await;
                    tracing::debug!(endpoint = %self.endpoint, %error, "the proxy's connection has ended");
                }
                Err(error) => {
                    tracing::debug!(endpoint = %self.endpoint, %error, "the proxy cannot be reached yet");
                }
            }
            again.wait().await;
        }
    }

    async fn listen(&mut self, mut connection: Connection) -> io::Result<Infallible> {
        let mut out = Outgoing::default();
        for topic in &self.topics {
            put_wish(out.buffer(), true, topic);
        }
        let mut heart = Heart::new(ASK_EVERY, SILENT_WITHIN);
        loop {
            // The first may have come along with the greeting.
            while let Some(item) = connection.next()? {
                self.take(&item, &mut out);
            }
            out.write_to(connection.stream())?;
            tokio::select! {
                biased;
                ready = connection.ready(!out.is_empty()) => {
                    let (to_read, _) = ready?;
                    if to_read && connection.read()? {
                        heart.heard();
                    }
                }
                () = heart.beat() => heart.ask(out.buffer())?,
            }
        }
    }

    fn take(&mut self, item: &Item<'_>, out: &mut Outgoing) {
        match item {
            Item::Message { topic, payload, .. } => {
                if let Some(publication) = (self.hear)(topic, payload)
                    && let Some(publications) = self.publications.upgrade()
                {
                    // An error: nobody is left to say it.
                    let _ = publications.send(publication);
                }
            }
            Item::Overlong { bytes, .. } => {
                tracing::warn!(bytes, "a message is too large and was passed over");
            }
            Item::Command { .. } => answer(item, out.buffer()),
        }
    }
}
