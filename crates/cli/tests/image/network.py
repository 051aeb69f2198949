"""A network in which one host exists, api.example.test, and is here: a DNS server for its
name on 127.0.0.1:53, and a TLS server on port 443 that passes everything on to a server
without TLS.

Arguments: the certificate with its key, and the address of that server. Prints a line
once both listen.
"""

import asyncio
import ssl
import sys

NAME = b"\x03api\x07example\x04test\x00"
CERTIFICATE, ADDRESS = sys.argv[1:]


class Dns(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, client):
        end = query.index(b"\x00", 12) + 5
        question = query[12:end]
        known = question[:-4].lower() == NAME
        is_address = known and question[-4:-2] == b"\x00\x01"
        # A pointer to the name in the question, the type A, the class IN, and a minute.
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"
        response = query[:2] + (b"\x81\x80" if known else b"\x81\x83")
        response += b"\x00\x01" + (b"\x00\x01" if is_address else b"\x00\x00") + bytes(4)
        self.transport.sendto(response + question + record * is_address, client)


async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(reader, writer):
    host, port = ADDRESS.split(":")
    there_reader, there_writer = await asyncio.open_connection(host, int(port))
    await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    loop = asyncio.get_running_loop()
    # A client that refuses the certificate is expected.
    loop.set_exception_handler(lambda *_: None)
    await loop.create_datagram_endpoint(Dns, local_addr=("127.0.0.1", 53))
    server = await asyncio.start_server(serve, "127.0.0.1", 443, ssl=context)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
