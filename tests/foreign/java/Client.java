import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/** The JDK's HttpClient: sends each message in two fragments. */
class Client implements WebSocket.Listener {
    private final String playerId;
    private final StringBuilder text = new StringBuilder();
    private final CompletableFuture<Integer> closed = new CompletableFuture<>();
    private String sessionId = "";

    Client(String playerId) {
        this.playerId = playerId;
    }

    public static void main(String[] arguments) throws Exception {
        Client client = new Client(arguments[1]);
        WebSocket link = HttpClient.newHttpClient().newWebSocketBuilder().subprotocols("x", "match.v1")
            .buildAsync(URI.create(arguments[0]), client).get(10, TimeUnit.SECONDS);
        int code = client.closed.get(20, TimeUnit.SECONDS);
        System.out.printf("{\"session_id\":\"%s\",\"code\":%d,\"subprotocol\":\"%s\"}%n",
            client.sessionId, code, link.getSubprotocol());
        System.exit(0);
    }

    @Override
    public void onOpen(WebSocket link) {
        send(link, "{\"type\":\"enqueue\",\"player_id\":\"" + playerId + "\",\"game_mode\":\"Normal_1v1\"}");
        link.request(1);
    }

    @Override
    public CompletionStage<?> onText(WebSocket link, CharSequence data, boolean last) {
        text.append(data);
        if (last) {
            String frame = text.toString();
            text.setLength(0);
            switch (field(frame, "type")) {
                case "start_loading" -> send(link, "{\"type\":\"loading_complete\",\"loading_session_id\":\""
                    + field(frame, "loading_session_id") + "\"}");
                case "match_found" -> {
                    sessionId = field(frame, "session_id");
                    link.sendClose(WebSocket.NORMAL_CLOSURE, "");
                }
                default -> { }
            }
        }
        link.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket link, int code, String reason) {
        closed.complete(code);
        return null;
    }

    @Override
    public void onError(WebSocket link, Throwable error) {
        closed.completeExceptionally(error);
    }

    private static void send(WebSocket link, String message) {
        link.sendText(message.substring(0, 5), false)
            .thenCompose(same -> same.sendText(message.substring(5), true));
    }

    private static String field(String frame, String name) {
        var found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(frame);
        return found.find() ? found.group(1) : "";
    }
}
