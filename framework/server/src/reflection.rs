//! Reflection, in both of its versions, over the descriptor set as it was written. Its options are extensions in part:
//! signers, Amino names and HTTP paths, which wallets and gateways read. Decoded into plain types they would be lost.

use std::{pin::Pin, sync::Arc};

use prost_reflect::{DescriptorError, DescriptorPool, FileDescriptor};
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};

/// What reflection tells of.
#[derive(Clone, Debug)]
pub(crate) struct Reflection {
    pool: DescriptorPool,
    services: Arc<[String]>,
}

impl Reflection {
    /// Reflection over encoded file descriptor sets, which lists these services.
    pub(crate) fn new(
        sets: &[&[u8]],
        services: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, DescriptorError> {
        let mut pool = DescriptorPool::new();
        for set in sets {
            pool.decode_file_descriptor_set(*set)?;
        }
        Ok(Self { pool, services: services.into_iter().map(Into::into).collect() })
    }

    /// The file with this name.
    fn file(&self, name: &str) -> Option<FileDescriptor> {
        self.pool.get_file_by_name(name)
    }

    /// The file that defines a symbol: a service, message, enum or extension, or a part of one.
    fn symbol(&self, name: &str) -> Option<FileDescriptor> {
        let pool = &self.pool;
        let whole = || {
            None.or_else(|| Some(pool.get_service_by_name(name)?.parent_file()))
                .or_else(|| Some(pool.get_message_by_name(name)?.parent_file()))
                .or_else(|| Some(pool.get_enum_by_name(name)?.parent_file()))
                .or_else(|| Some(pool.get_extension_by_name(name)?.parent_file()))
        };
        let part = || {
            let (parent, _) = name.rsplit_once('.')?;
            let method = || pool.get_service_by_name(parent)?.methods().find(|m| m.full_name() == name).map(drop);
            let field = || pool.get_message_by_name(parent)?.fields().find(|f| f.full_name() == name).map(drop);
            let oneof = || pool.get_message_by_name(parent)?.oneofs().find(|o| o.full_name() == name).map(drop);
            method().or_else(field).or_else(oneof).and_then(|()| self.symbol(parent))
        };
        let value = || Some(pool.all_enums().find(|e| e.values().any(|v| v.full_name() == name))?.parent_file());
        whole().or_else(part).or_else(value)
    }

    /// The file that defines the extension of a message with this number.
    fn extension(&self, message: &str, number: i32) -> Option<FileDescriptor> {
        let number = u32::try_from(number).ok()?;
        Some(self.pool.get_message_by_name(message)?.get_extension(number)?.parent_file())
    }

    /// The numbers of all extensions of a message.
    fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        let message = self.pool.get_message_by_name(message)?;
        Some(message.extensions().filter_map(|extension| i32::try_from(extension.number()).ok()).collect())
    }
}

/// Answers of one stream.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

macro_rules! version {
    ($version:ident) => {
        pub(crate) mod $version {
            use super::*;
            pub(crate) use tonic_reflection::pb::$version::server_reflection_server::ServerReflectionServer;
            use tonic_reflection::pb::$version::{
                ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
                ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
                server_reflection_server::ServerReflection,
            };

            /// What is not there is an answer, after which the stream goes on.
            fn not_found(what: &str) -> MessageResponse {
                let error_message = format!("{what} not found");
                MessageResponse::ErrorResponse(ErrorResponse { error_code: Code::NotFound.into(), error_message })
            }

            fn file(found: Option<FileDescriptor>, what: &str) -> MessageResponse {
                found.map_or_else(
                    || not_found(what),
                    |file| {
                        let file_descriptor_proto = vec![file.encode_to_vec()];
                        MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
                    },
                )
            }

            fn answer(reflection: &Reflection, request: &MessageRequest) -> MessageResponse {
                match request {
                    MessageRequest::FileByFilename(name) => file(reflection.file(name), name),
                    MessageRequest::FileContainingSymbol(name) => file(reflection.symbol(name), name),
                    MessageRequest::FileContainingExtension(wanted) => {
                        let (message, number) = (&wanted.containing_type, wanted.extension_number);
                        let what = format!("extension {number} of {message}");
                        file(reflection.extension(message, number), &what)
                    }
                    MessageRequest::AllExtensionNumbersOfType(message) => {
                        reflection.extension_numbers(message).map_or_else(
                            || not_found(message),
                            |extension_number| {
                                let base_type_name = message.clone();
                                let numbers = ExtensionNumberResponse { base_type_name, extension_number };
                                MessageResponse::AllExtensionNumbersResponse(numbers)
                            },
                        )
                    }
                    MessageRequest::ListServices(_) => {
                        let service = reflection.services.iter().map(|name| ServiceResponse { name: name.clone() });
                        MessageResponse::ListServicesResponse(ListServiceResponse { service: service.collect() })
                    }
                }
            }

            #[tonic::async_trait]
            impl ServerReflection for Reflection {
                type ServerReflectionInfoStream = Answers<ServerReflectionResponse>;

                async fn server_reflection_info(
                    &self,
                    requests: Request<Streaming<ServerReflectionRequest>>,
                ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
                    let reflection = self.clone();
                    #[expect(clippy::result_large_err, reason = "tonic's Status is what a stream ends with")]
                    let answers = requests.into_inner().map(move |request| {
                        let request = request?;
                        let Some(asked) = &request.message_request else {
                            return Err(Status::invalid_argument("a request that asks for nothing"));
                        };
                        Ok(ServerReflectionResponse {
                            valid_host: request.host.clone(),
                            message_response: Some(answer(&reflection, asked)),
                            original_request: Some(request),
                        })
                    });
                    Ok(Response::new(Box::pin(answers)))
                }
            }
        }
    };
}

version!(v1);
version!(v1alpha);
