import io.debezium.connector.jdbc.JdbcSinkConnectorTask;
import io.debezium.embedded.Connect;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTaskContext;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * PostgreSQL into MariaDB by Debezium's embedded engine and its JDBC sink, without a Kafka between them: what the engine hands
 * out goes to the sink at once, and is confirmed when that has it.
 *
 * <p>usage: Replicate HOST PORT DATABASE USER SLOT PUBLICATION JDBC-URL OFFSETS-FILE
 */
public final class Replicate {
    /** Records that the engine hands out at once, as by default, and that the sink writes in one batch and commit. */
    private static final String BATCH = "2048";

    private static final CountDownLatch ENDED = new CountDownLatch(1);

    /** A sink task as a Connect worker would run it, for tables with a key or for those without one. */
    private static final class Sink {
        private final JdbcSinkConnectorTask task = new JdbcSinkConnectorTask();
        private final Set<TopicPartition> open = new java.util.HashSet<>();
        private final Map<String, Long> offsets = new HashMap<>();

        Sink(String url, boolean keyed) {
            task.initialize((SinkTaskContext) Proxy.newProxyInstance(Replicate.class.getClassLoader(),
                    new Class<?>[] {SinkTaskContext.class}, (proxy, method, args) -> switch (method.getName()) {
                        case "assignment" -> open;
                        case "configs" -> Map.of();
                        default -> null;
                    }));
            Map<String, String> settings = new HashMap<>(Map.of("connection.url", url, "connection.username", "root",
                    "connection.password", "", "schema.evolution", "none",
                    "collection.name.format", "${source.table}", "batch.size", BATCH));
            settings.putAll(keyed
                    ? Map.of("insert.mode", "upsert", "delete.enabled", "true", "primary.key.mode", "record_key",
                            "use.reduction.buffer", "true")
                    : Map.of("insert.mode", "insert", "primary.key.mode", "none"));
            task.start(settings);
        }

        void put(List<SourceRecord> records) throws Throwable {
            List<SinkRecord> batch = new ArrayList<>(records.size());
            for (SourceRecord r : records) {
                if (open.add(new TopicPartition(r.topic(), 0))) {
                    task.open(Set.of(new TopicPartition(r.topic(), 0)));
                }
                batch.add(new SinkRecord(r.topic(), 0, r.keySchema(), r.key(), r.valueSchema(), r.value(),
                        offsets.merge(r.topic(), 1L, Long::sum), r.timestamp(), TimestampType.CREATE_TIME, r.headers()));
            }
            task.put(batch);
            if (task.getLastProcessingException() != null) { // which put() would throw the next time
                throw task.getLastProcessingException();
            }
        }
    }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.putAll(Map.of("name", "bench", "connector.class", "io.debezium.connector.postgresql.PostgresConnector",
                "topic.prefix", "bench", "database.hostname", args[0], "database.port", args[1], "database.dbname", args[2],
                "database.user", args[3], "plugin.name", "pgoutput", "slot.name", args[4]));
        p.putAll(Map.of("publication.name", args[5], "publication.autocreate.mode", "disabled", "snapshot.mode", "no_data",
                "offset.storage", "org.apache.kafka.connect.storage.FileOffsetBackingStore", "offset.storage.file.filename", args[7],
                "max.batch.size", BATCH, "tombstones.on.delete", "false"));
        // So that the slot follows at once, to behind the last commit: that is what everybody is measured by. The driver moves it
        // further than the offsets say, which the next start is not to mind.
        p.putAll(Map.of("offset.flush.interval.ms", "0", "heartbeat.interval.ms", "100", "lsn.flush.mode", "connector_and_driver",
                "status.update.interval.ms", "1000", "offset.mismatch.strategy", "trust_greater_lsn"));
        Sink keyed = new Sink(args[6], true);
        Sink keyless = new Sink(args[6], false);
        DebeziumEngine<ChangeEvent<SourceRecord, SourceRecord>> engine = DebeziumEngine.create(Connect.class).using(p)
                .using((success, message, error) -> {
                    System.err.println("the engine has ended: " + message);
                    if (error != null) {
                        error.printStackTrace();
                    }
                    ENDED.countDown();
                    if (!success) {
                        Runtime.getRuntime().halt(1);
                    }
                })
                .notifying((events, committer) -> {
                    try {
                        List<SourceRecord> withKey = new ArrayList<>();
                        List<SourceRecord> without = new ArrayList<>();
                        for (ChangeEvent<SourceRecord, SourceRecord> e : events) {
                            if (!e.value().topic().startsWith("__debezium")) { // heartbeats
                                (e.value().key() != null ? withKey : without).add(e.value());
                            }
                        }
                        keyed.put(withKey);
                        keyless.put(without);
                    } catch (Throwable fault) {
                        fault.printStackTrace();
                        Runtime.getRuntime().halt(1);
                    }
                    for (ChangeEvent<SourceRecord, SourceRecord> e : events) {
                        committer.markProcessed(e);
                    }
                    committer.markBatchFinished();
                }).build();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                engine.close();
                ENDED.await();
            } catch (Exception fault) {
                fault.printStackTrace();
            }
        }));
        engine.run();
    }
}
