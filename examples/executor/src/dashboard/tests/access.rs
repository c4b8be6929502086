//! Who may look.

use super::{answer, dashboard, run, status};
use crate::dashboard::access::Access;

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

#[test]
fn a_dashboard_that_others_can_reach_needs_a_token() {
    let is_fine = |address: &str, token: Option<&str>| Access::new(address, token, vec![]).is_ok();
    for address in
        ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80", "localhost:80"]
    {
        assert!(is_fine(address, None), "{address}");
    }
    for address in [
        "0.0.0.0:80",
        "[::]:80",
        "192.0.2.1:80",
        "tasks.example:80",
        "localhost.example:80",
        ":80",
        "",
    ] {
        assert!(!is_fine(address, None), "{address}");
        assert!(!is_fine(address, Some("")), "{address}");
        assert!(is_fine(address, Some("secret")), "{address}");
    }
    let error = Access::new("0.0.0.0:80", None, vec![]).err().unwrap().to_string();
    assert_eq!(error, "a dashboard at 0.0.0.0:80 needs a token: others can reach that address");
}

#[test]
fn only_requests_that_name_this_host_are_answered() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        for (host, expected) in [
            ("127.0.0.1:8080", 200),
            ("localhost:8080", 200),
            ("LOCALHOST", 200),
            ("[::1]:8080", 200),
            ("tasks.example", 200),
            ("Tasks.Example:80", 200),
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example:8080", 421),
        ] {
            for path in ["/", "/live", "/metrics", "/healthz", "/style.css"] {
                let head = format!("GET {path} HTTP/1.1\r\nHost: {host}");
                let told = status(&event_loop, &head).await?;
                let expected = if path == "/live" && expected == 200 { 426 } else { expected };
                assert_eq!(told, expected, "{host} {path}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_websocket_is_for_pages_of_this_host_only() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        for (origin, expected) in [
            ("http://127.0.0.1:8080", 101),
            ("http://127.0.0.1:8081", 403),
            ("http://evil.example", 403),
            ("null", 403),
        ] {
            let head = format!(
                "GET /live HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nOrigin: {origin}\r\n{UPGRADE}\r\n\r\n"
            );
            let (mut reader, writer) = event_loop.open_connection(super::ADDRESS).await?;
            writer.write_all(head.as_bytes()).await?;
            let line = reader.read_until(b"\r\n").await?;
            assert!(line.starts_with(format!("HTTP/1.1 {expected} ").as_bytes()), "{origin}");
        }
        Ok(())
    });
}

#[test]
fn with_a_token_nothing_of_tasks_is_told_without_it() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, Some("secret")).await?;
        let get =
            |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080{more}");
        for (path, expected) in [
            ("/", 401),
            ("/app.js", 401),
            ("/live", 401),
            ("/metrics", 401),
            ("/nothing", 401),
            // What people need to sign in, and what tells nothing.
            ("/style.css", 200),
            ("/icon.svg", 200),
            ("/healthz", 200),
        ] {
            for more in [
                "",
                "\r\nAuthorization: Bearer secret2",
                "\r\nAuthorization: Bearer ",
                "\r\nAuthorization: secret",
                "\r\nCookie: wharf-executor-8080=secret",
                "\r\nCookie: wharf-executor-8080=",
            ] {
                assert_eq!(status(&event_loop, &get(path, more)).await?, expected, "{path}{more}");
            }
        }
        let bearer = "\r\nAuthorization: Bearer secret";
        assert_eq!(status(&event_loop, &get("/metrics", bearer)).await?, 200);
        assert_eq!(status(&event_loop, &get("/live", bearer)).await?, 426);
        assert!(answer(&event_loop, &get("/", ""), "").await?.contains("Sign in"));
        Ok(())
    });
}

#[test]
fn browsers_sign_in_with_the_token_and_keep_a_cookie_that_does_not_tell_it() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, Some("secret")).await?;
        let post = |more: &str| {
            format!(
                "POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: text/plain{more}"
            )
        };
        let own = "\r\nOrigin: http://127.0.0.1:8080";
        let told = answer(&event_loop, &post(own), "token=guess\r\n").await?;
        assert!(
            told.starts_with("HTTP/1.1 401 ") && told.contains("That is not the token"),
            "{told}"
        );
        let told =
            answer(&event_loop, &post("\r\nOrigin: http://evil.example"), "token=secret\r\n")
                .await?;
        assert!(told.starts_with("HTTP/1.1 403 ") && !told.contains("Cookie"), "{told}");
        let told = answer(&event_loop, &post(own), &"token=".repeat(1_000)).await?;
        assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
        let told = answer(&event_loop, &post(own), "token=secret\r\n").await?;
        assert!(
            told.starts_with("HTTP/1.1 303 ") && told.contains("\r\nLocation: /\r\n"),
            "{told}"
        );
        let (_, cookie) = told.split_once("\r\nSet-Cookie: ").ok_or("no cookie")?;
        let (cookie, _) = cookie.split_once("\r\n").ok_or("no end")?;
        assert!(
            cookie.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"),
            "{cookie}"
        );
        let (cookie, _) = cookie.split_once(';').ok_or("no attributes")?;
        assert!(!cookie.contains("secret"), "{cookie}");
        let get = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nCookie: other=1; {cookie}");
        assert_eq!(status(&event_loop, &get).await?, 200);
        // A cookie of another port of this host.
        assert_eq!(
            status(&event_loop, &get.replace("127.0.0.1:8080", "127.0.0.1:8081")).await?,
            401
        );
        Ok(())
    });
}
