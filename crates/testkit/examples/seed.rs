//! `cargo run --example seed -- DIR COUNT`: a hub's data folder with many skills.

use std::path::PathBuf;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count] = arguments.as_slice() else {
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else {
        return ExitCode::from(2);
    };
    match testkit::seed::data_folder(&PathBuf::from(folder), count).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
