# The model of deploy/compose with the file it learns from, which compose mounts and a pod does not have.
# From the repository: docker build -f deploy/kubernetes/model.Dockerfile -t iris-model:1 .
FROM python:3.13-slim
COPY deploy/compose/model/requirements.txt /app/
RUN pip install --no-cache-dir -r /app/requirements.txt
COPY deploy/compose/model/app.py /app/
COPY reference_data/iris.csv /data/
WORKDIR /app
USER 65532:65532
EXPOSE 5000
CMD ["gunicorn", "--bind", "0.0.0.0:5000", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "5", "app:app"]
