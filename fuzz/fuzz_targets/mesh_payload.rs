//! Any bytes as a payload of the mesh, as its proxy and as its worker or agent read it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skill_mesh::protocol::{Envelope, Reply, Request, open};

fuzz_target!(|bytes: &[u8]| {
    let envelope = open(bytes);
    if let Ok(request) = Request::parse(bytes) {
        if let Ok(Envelope::Request { request_id, reply_to }) = &envelope {
            assert_eq!((&**request_id, &**reply_to), (&*request.request_id, &*request.reply_to));
        }
        let again = Request::parse(&request.to_json()).expect("what was read can be written");
        assert_eq!((again.request_id, again.intent), (request.request_id, request.intent));
    }
    if let Ok(reply) = Reply::parse(bytes) {
        let again = Reply::parse(&reply.to_json()).expect("what was read can be written");
        assert_eq!((again.request_id, again.content), (reply.request_id, reply.content));
    }
});
