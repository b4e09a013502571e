import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.compression.CompressorFactory;

/**
 * Writes the files beside it with RocketMQ's own compressors (org.apache.rocketmq:rocketmq-common:5.4.0 and what it needs on the class
 * path): java -cp 'lib/*' Golden.java. decompress_test.go makes the same texts.
 */
public class Golden {
    public static void main(String[] args) throws Exception {
        for (CompressionType t : CompressionType.values()) {
            write(t, "readings", readings(20_000));
            write(t, "zeros", new byte[5_000_000]); // above a block of LZ4: 4 MiB
            write(t, "noise", noise(300)); // what does not get smaller is stored as it is
        }
    }

    static void write(CompressionType t, String name, byte[] text) throws Exception {
        Files.write(Path.of(name + "." + t.name().toLowerCase()), CompressorFactory.getCompressor(t).compress(text, 5));
    }

    static byte[] readings(int size) {
        StringBuilder s = new StringBuilder();
        for (int x = 1; s.length() < size; ) {
            x = x * 1103515245 + 12345;
            s.append("sensor").append((x >>> 16) % 100).append("=").append((x >>> 8) % 10000).append(';');
        }
        return s.toString().getBytes(StandardCharsets.UTF_8);
    }

    static byte[] noise(int size) {
        byte[] b = new byte[size];
        int x = 1;
        for (int i = 0; i < size; i++) {
            x = x * 1103515245 + 12345;
            b[i] = (byte) (x >>> 16);
        }
        return b;
    }
}
