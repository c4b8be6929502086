//! nginx, from the system's packages. This process becomes it, so that it is what is measured.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::TEXT;
use crate::Result;
use crate::servers::{announce, prepare};

/// Debian keeps it where only root looks.
const PLACES: [&str; 2] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];

/// Whether there is one here.
pub(crate) fn is_installed() -> bool {
    program().is_some()
}

pub(super) fn run(listen: SocketAddr) -> Result {
    let program = program().ok_or("nginx is missing (Debian: nginx-light)")?;
    prepare()?;
    // Its configuration names the port; as its child it would take over this listener, but crashes.
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let directory = std::env::current_exe()?.with_file_name("nginx");
    std::fs::create_dir_all(&directory)?;
    let configuration = directory.join("nginx.conf");
    std::fs::write(&configuration, text_of(address, &directory))?;
    drop(listener);
    announce(address)?;
    let error = Command::new(program)
        .args(["-e", "stderr", "-p"])
        .arg(&directory)
        .arg("-c")
        .arg(&configuration)
        .exec();
    Err(error.into())
}

fn program() -> Option<&'static Path> {
    PLACES.iter().map(Path::new).find(|place| place.exists())
}

/// One process, and nothing that the others do not do either.
fn text_of(address: SocketAddr, directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {address};
        location / {{
            default_type text/plain;
            return 200 \"{TEXT}\";
        }}
    }}
}}
"
    )
}
