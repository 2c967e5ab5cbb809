package dev.ackline.conformance;

import io.grpc.Channel;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.stub.MetadataUtils;
import java.util.HashMap;
import java.util.Map;

/** The conformance application in Java, as tests/clients/README.md describes it. */
public final class Conformance {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private Conformance() {}

  public static void main(String[] arguments) throws Exception {
    Map<String, String> options = new HashMap<>();
    for (int index = 0; index < arguments.length; index += 2) {
      options.put(arguments[index], arguments[index + 1]);
    }
    ManagedChannel channel =
        Grpc.newChannelBuilder(System.getenv("ACKLINE_TARGET"), InsecureChannelCredentials.create())
            .build();
    Work work = new Work(options);
    boolean consume = options.getOrDefault("--door", "stream").equals("consume");
    int status =
        switch (options.get("--manner")) {
          case "blocking" -> new BlockingApplication(withToken(channel), work).run();
          case "async" -> new AsyncApplication(withToken(channel), work, consume).run();
          default -> throw new IllegalArgumentException("--manner is blocking or async");
        };
    System.exit(status);
  }

  /** Whether the sidecar ends or the connection broke, of which Netty sometimes says UNKNOWN. */
  static boolean isRetryable(Status status) {
    return status.getCode() == Status.Code.UNAVAILABLE || status.getCode() == Status.Code.UNKNOWN;
  }

  private static Channel withToken(Channel channel) {
    String token = System.getenv("ACKLINE_TOKEN");
    if (token == null) {
      return channel;
    }
    Metadata metadata = new Metadata();
    metadata.put(AUTHORIZATION, "Bearer " + token);
    ClientInterceptor interceptor = MetadataUtils.newAttachHeadersInterceptor(metadata);
    return ClientInterceptors.intercept(channel, interceptor);
  }
}
