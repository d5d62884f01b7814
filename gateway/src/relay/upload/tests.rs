use std::future::poll_fn;
use std::rc::Rc;

use socket2::SockRef;
use tokio::net::UnixStream;

use super::*;
use crate::stream::Shelf;

const LIMITS: UploadLimits = UploadLimits {
    body_max: 1 << 20,
    body_timeout: Duration::from_secs(10),
    keeps: true,
};

fn pair() -> (Stream, Stream) {
    let (a, b) = UnixStream::pair().unwrap();
    (Stream::Unix(a), Stream::Unix(b))
}

/// A pair whose first end takes only a little before the second is read.
fn narrow_pair() -> (Stream, Stream) {
    let (a, b) = UnixStream::pair().unwrap();
    SockRef::from(&a).set_send_buffer_size(1).unwrap();
    (Stream::Unix(a), Stream::Unix(b))
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work);
}

#[test]
fn a_request_whose_last_bytes_wait_for_the_origin_is_not_sent_yet() {
    block_on(async {
        let ((gateway, client), (origin, server)) = (pair(), narrow_pair());
        let trailer = format!("X-Sum: {}", "a".repeat(8_000));
        let body = format!("1\r\na\r\n0\r\n{trailer}\r\n\r\n");
        client
            .write_all(&mut [IoSlice::new(body.as_bytes())], LIMITS.body_timeout)
            .await
            .unwrap();
        let mut inbound = Rc::new(Shelf::default()).lend();
        let mut upload = Upload::new(Some(&gateway), &mut inbound, Length::Chunked, LIMITS);
        upload.restart(|out| out.extend_from_slice(b"HEAD"));

        let mut got = Vec::new();
        loop {
            let mut space = [0; 100];
            // As an answer does that is there before the end of the request.
            let given_up = tokio::select! {
                biased;
                sent = upload.run(&origin, LIMITS.body_timeout) => Err(sent),
                read = server.read(&mut space) => Ok(read.unwrap()),
            };
            match given_up {
                Ok(n) => got.extend_from_slice(&space[..n]),
                Err(sent) => break sent.unwrap(),
            }
            assert!(!upload.is_sent(), "its connection would be taken for fit");
        }
        assert!(upload.is_sent() && upload.is_received());
        drop(origin);
        let mut space = [0; 16 << 10];
        while let Ok(n @ 1..) = server.read(&mut space).await {
            got.extend_from_slice(&space[..n]);
        }
        assert_eq!(String::from_utf8(got).unwrap(), format!("HEAD{body}"));
    });
}

#[test]
fn a_body_that_never_has_to_wait_leaves_the_answer_its_turn() {
    block_on(async {
        const BODY_BYTES: usize = 200 << 10;
        let ((gateway, client), (origin, server)) = (pair(), pair());
        for stream in [&client, &origin] {
            let Stream::Unix(socket) = stream else {
                panic!("not a socket of the file system");
            };
            SockRef::from(socket)
                .set_send_buffer_size(4 * BODY_BYTES)
                .unwrap();
        }
        // All of it is there, and there is room for all of it.
        let body = vec![b'a'; BODY_BYTES];
        client
            .write_all(&mut [IoSlice::new(&body)], LIMITS.body_timeout)
            .await
            .unwrap();
        let mut inbound = Rc::new(Shelf::default()).lend();
        let length = Length::Known(BODY_BYTES as u64);
        let mut upload = Upload::new(Some(&gateway), &mut inbound, length, LIMITS);
        upload.restart(|out| out.extend_from_slice(b"HEAD"));

        // The runtime has to have heard of it too, or it is waited for after all.
        gateway.readable().await.unwrap();
        poll_fn(|cx| origin.poll_writable(cx)).await.unwrap();
        let given_way = tokio::select! {
            biased;
            sent = upload.run(&origin, LIMITS.body_timeout) => Err(sent),
            () = std::future::ready(()) => Ok(()),
        };
        assert!(given_way.is_ok(), "an early answer would not have been seen");
        upload.run(&origin, LIMITS.body_timeout).await.unwrap();
        assert!(upload.is_sent());
        drop((origin, upload));
        let mut got = Vec::new();
        let mut space = [0; 16 << 10];
        while let Ok(n @ 1..) = server.read(&mut space).await {
            got.extend_from_slice(&space[..n]);
        }
        assert!(got == [b"HEAD", &body[..]].concat());
    });
}
