//! Accounts on `muster dev`, used by clients that are not ours: curl, grpcurl, and a web page's gRPC-Web client in Node.

mod curl;
mod grpc_web;
mod grpcurl;
