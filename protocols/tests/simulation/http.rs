use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use wharf::sim::Simulation;
use wharf::{Failure, Result, scope};
use wharf_protocols::http::{Body, HttpClient, HttpServer, RequestBody, RequestContent};

use super::{Client, MS, SECOND, Serving, check, content};

#[test]
fn http_answers_are_whole_and_belong_to_their_requests_or_there_is_an_error() {
    check(scenario);
}

fn scenario(simulation: &Simulation) -> Result {
    let serving = Serving::default();
    let posted = Rc::new(RefCell::new(BTreeMap::<u64, u32>::new()));
    let (server, seen) = (simulation.host("server"), Rc::clone(&posted));
    let (kept, random) = (serving.clone(), server.random());
    server.serve(async move |event_loop| {
        let (seen, random) = (Rc::clone(&seen), random.clone());
        let service = async move |request: http::Request<RequestBody>| {
            let pause = random.duration(MS..=100 * MS);
            answer(request, &seen, random.chance(0.5), pause).await
        };
        let http = HttpServer::new().idle_timeout(10 * SECOND).write_timeout(10 * SECOND);
        let server = event_loop.create_server(http.serve(service), "0.0.0.0:80").await?;
        kept.serve(server).await
    });
    let next_id = Rc::new(Cell::new(0));
    for name in ["one", "other"] {
        let next_id = Rc::clone(&next_id);
        Client::start(simulation, name, async move |client| ask_on(&client, &next_id).await);
    }
    simulation.run()?;
    if let Some((id, count)) = posted.borrow().iter().find(|(_, count)| **count > 1) {
        return Err(format!("POST {id} was served {count} times").into());
    }
    serving.check_empty(simulation, 60 * SECOND)
}

/// Answers with content that belongs to the number in the path, once the request's content has come whole.
async fn answer(
    request: http::Request<RequestBody>,
    posted: &RefCell<BTreeMap<u64, u32>>,
    in_pieces: bool,
    pause: std::time::Duration,
) -> Result<http::Response<Body>> {
    let (parts, mut body) = request.into_parts();
    let id: u64 = parts.uri.path().trim_start_matches('/').parse()?;
    let length = body.read_to_end(1_000_000).await?;
    assert_eq!(length, content(id, length_of_request(id)), "what {id} asks has changed");
    if parts.method == http::Method::POST {
        *posted.borrow_mut().entry(id).or_default() += 1;
    }
    wharf::sleep(pause).await;
    let whole = content(id, length_of_answer(id));
    let body = if in_pieces {
        Body::from_writer(async move |writer| {
            for piece in whole.chunks(5_000) {
                writer.write(piece).await?;
                wharf::sleep(pause / 10).await;
            }
            Ok(())
        })
    } else {
        Body::from(whole)
    };
    Ok(http::Response::new(body))
}

fn length_of_request(id: u64) -> usize {
    (id as usize * 7_919) % 30_000
}

fn length_of_answer(id: u64) -> usize {
    (id as usize * 104_729) % 60_000
}

/// Three tasks ask over the connections of one client, until each was answered after the last fault.
async fn ask_on(client: &Client, next_id: &Cell<u64>) -> Result {
    let http = HttpClient::new(&client.event_loop)
        .connect_timeout(5 * SECOND)
        .head_timeout(5 * SECOND)
        .body_timeout(5 * SECOND);
    let http = &http;
    scope(async |scope| {
        for _ in 0..3 {
            scope.spawn(async move {
                let mut failures = 0;
                loop {
                    let is_calm = client.is_calm();
                    let id = next_id.replace(next_id.get() + 1);
                    // 5 s for a connection, for the head, and between two of at most 60 pieces.
                    match client.within(310 * SECOND, "a request", ask(http, client, id)).await {
                        Ok(()) if is_calm => return Ok(()),
                        Err(error) if is_calm => {
                            failures += 1;
                            // As many connections may be in the pool that are broken.
                            if failures > 10 {
                                return Err(error);
                            }
                        }
                        _ => {}
                    }
                    client.pause().await;
                }
            });
        }
        Ok(())
    })
    .await?;
    Ok(())
}

async fn ask(http: &HttpClient, client: &Client, id: u64) -> Result {
    let whole = content(id, length_of_request(id));
    let body: RequestContent = if client.random.chance(0.5) {
        whole.into()
    } else {
        RequestContent::from_writer(async move |writer| {
            for piece in whole.chunks(4_000) {
                writer.write(piece).await?;
            }
            Ok(())
        })
    };
    let method = if client.random.chance(0.5) { "POST" } else { "PUT" };
    let request =
        http::Request::builder().method(method).uri(format!("http://server/{id}")).body(body)?;
    let mut response = http.send(request).await?;
    if response.status() != 200 {
        return Err(Failure::from(format!("{id} is answered by {}", response.status())));
    }
    let answer = response.body_mut().read_to_end(1_000_000).await?;
    assert!(answer == content(id, length_of_answer(id)), "the answer to {id} is another one");
    Ok(())
}
