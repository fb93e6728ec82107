//! Certificates that are valid for one day, made with the `openssl` program: an authority, and a server
//! certificate.

use crate::error::{Error, Tried};
use crate::home::Home;
use std::fs;
use std::process::Command;

/// The files are in the data folder: a replica gets them with its copy.
pub(crate) const SETTINGS: [(&str, &str); 3] =
    [("ssl", "on"), ("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")];

/// The authority's key and certificate. The key is not used again after it has signed.
const AUTHORITY: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 \
    -subj /CN=throw-away-authority -keyout data/ca.key -out data/ca.crt";

const REQUEST: &str = "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -subj /CN=localhost -keyout data/server.key -out data/server.csr";

const SIGN: &str = "x509 -req -in data/server.csr -CA data/ca.crt -CAkey data/ca.key -CAcreateserial -days 1 \
    -extfile data/server.ext -out data/server.crt";

/// Creates the certificates in `home`'s data folder.
pub(crate) fn make(home: &Home) -> Result<(), Error> {
    if Command::new("openssl").arg("version").output().is_err() {
        let text = "TLS needs a certificate, and there is no `openssl` on PATH to make one";
        return Err(Error::Missing(format!("{text}\n  help: `apt-get install openssl`, or its like")));
    }
    let names = home.data().join("server.ext");
    let written = fs::write(&names, "subjectAltName = DNS:localhost, IP:127.0.0.1\n");
    written.tried(format_args!("writing {}", names.display()))?;
    for line in [AUTHORITY, REQUEST, SIGN] {
        home.run("openssl", &line.split_whitespace().collect::<Vec<_>>())?;
    }
    Ok(())
}
